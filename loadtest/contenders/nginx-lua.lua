-- The cache of contenders/nginx-lua.conf, written the way it is usually written: one key of path,
-- sorted query and Authorization; a set per session that names its keys. (It has the usual gap, too:
-- an answer that was under way while its session was written to is stored stale.)
local redis = require "nginx.redis"
local cache = { redis_port = 0 }

local LIFETIME_S = 3600
local POOL_SIZE = 256
local TIMEOUT_MS = 1000
local PURGE_TIMEOUT_MS = 60000 -- a million names take a while

local function connect(timeout_ms)
    local connection = redis:new()
    connection:set_timeout(timeout_ms or TIMEOUT_MS)
    local ok = connection:connect("127.0.0.1", cache.redis_port)
    return ok and connection or nil
end

local function give_back(connection)
    connection:set_keepalive(60000, POOL_SIZE)
end

local function key_of_request()
    local arguments = ngx.req.get_uri_args()
    local names = {}
    for name in pairs(arguments) do
        names[#names + 1] = name
    end
    table.sort(names)
    local parts = { ngx.var.http_authorization or "", ngx.var.uri }
    for _, name in ipairs(names) do
        local value = arguments[name]
        if type(value) == "table" then
            value = table.concat(value, "\1")
        end
        parts[#parts + 1] = name .. "=" .. tostring(value)
    end
    return "lua:e:" .. ngx.encode_base64(ngx.sha1_bin(table.concat(parts, "\0"))),
        "lua:s:" .. tostring(arguments.session_id)
end

function cache.look_up()
    if ngx.req.get_method() ~= "GET" then
        return
    end
    local key, session = key_of_request()
    local connection = connect()
    if connection then
        local stored = connection:get(key)
        give_back(connection)
        if stored and stored ~= ngx.null then
            local line = string.find(stored, "\n", 1, true)
            ngx.header["Content-Type"] = string.sub(stored, 1, line - 1)
            ngx.header["Content-Length"] = #stored - line
            ngx.print(string.sub(stored, line + 1))
            return ngx.exit(200)
        end
    end
    ngx.ctx.key, ngx.ctx.session, ngx.ctx.chunks = key, session, {}
end

local function store(premature, key, session, answer)
    local connection = not premature and connect()
    if not connection then
        return
    end
    connection:init_pipeline(3)
    connection:set(key, answer, "EX", LIFETIME_S)
    connection:sadd(session, key)
    connection:expire(session, LIFETIME_S)
    connection:commit_pipeline()
    give_back(connection)
end

function cache.keep_body()
    local context = ngx.ctx
    if not context.key or ngx.status ~= 200 then
        return
    end
    context.chunks[#context.chunks + 1] = ngx.arg[1]
    if ngx.arg[2] then
        local answer = ngx.header["Content-Type"] .. "\n" .. table.concat(context.chunks)
        ngx.timer.at(0, store, context.key, context.session, answer)
    end
end

-- The write goes to the upstream; the session is forgotten before the client has the answer.
function cache.write()
    ngx.req.read_body()
    local answer = ngx.location.capture("/forward" .. ngx.var.request_uri,
        { method = ngx.HTTP_PUT, always_forward_body = true })
    local connection = connect(PURGE_TIMEOUT_MS)
    if connection then
        local session = "lua:s:" .. string.match(ngx.var.uri, "[^/]+$")
        local keys = connection:smembers(session)
        for first = 1, #keys, 1000 do
            connection:unlink(unpack(keys, first, math.min(first + 999, #keys)))
        end
        connection:unlink(session)
        give_back(connection)
    end
    ngx.status = answer.status
    ngx.header["Content-Type"] = answer.header["Content-Type"]
    ngx.header["Content-Length"] = #answer.body
    ngx.print(answer.body)
end

return cache
