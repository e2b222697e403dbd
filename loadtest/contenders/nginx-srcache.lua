-- The key and the two subrequests of contenders/nginx-srcache.conf.
local redis = require "nginx.redis"
local cache = { redis_port = 0 }

local LIFETIME_S = 3600
local POOL_SIZE = 256

function cache.key_of_request()
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
    return ngx.md5(table.concat(parts, "\0"))
end

function cache.serve()
    local connection = redis:new()
    connection:set_timeout(1000)
    if not connection:connect("127.0.0.1", cache.redis_port) then
        return ngx.exit(502)
    end
    local key = "src:" .. ngx.var.args
    if ngx.req.get_method() == "PUT" then
        connection:set(key, ngx.req.get_body_data() or "", "EX", LIFETIME_S)
        connection:set_keepalive(60000, POOL_SIZE)
        return ngx.exit(201)
    end
    local stored = connection:get(key)
    connection:set_keepalive(60000, POOL_SIZE)
    if not stored or stored == ngx.null then
        return ngx.exit(404)
    end
    ngx.print(stored)
end

return cache
