-- What wrk asks for: `wrk -s requests.lua URL -- KIND SIZE FIRST`.
--   hit    500 users in turn, each with a session of his own
--   miss   another page with every request, counted from FIRST
--   slow   the same from an upstream that takes 20 ms
--   post   1 KB of JSON that nobody stores
--   write  every tenth request writes to a random session, the others read random sessions
-- At the end one line of JSON.
local USERS = 500
local kind, size, count, ready

local function authorization(user)
    return { ["Authorization"] = "Bearer 0b9f27c6e1d84a53bc70" .. user }
end

local function read(user, rest)
    return wrk.format("GET", "/transactions?session_id=" .. user .. "&size=" .. size .. rest,
        authorization(user))
end

function init(arguments)
    kind, size, count = arguments[1], arguments[2], tonumber(arguments[3])
    ready = {}
    math.randomseed(12345)
    for user = 0, USERS - 1 do
        ready[user] = read(user, "&page=1")
    end
    if kind == "post" then
        wrk.body = '{"text":"' .. string.rep("x", 1012) .. '"}'
        local headers = authorization(1)
        headers["Content-Type"] = "application/json"
        ready[0] = wrk.format("POST", "/pass", headers)
    elseif kind == "write" then
        for user = 0, USERS - 1 do
            ready[USERS + user] = wrk.format("PUT", "/sessions/" .. user, authorization(user), "")
        end
    end
end

function request()
    count = count + 1
    if kind == "hit" then
        return ready[count % USERS]
    elseif kind == "miss" then
        return read(count % USERS, "&page=" .. count)
    elseif kind == "slow" then
        return read(count % USERS, "&delay=20&page=" .. count)
    elseif kind == "post" then
        return ready[0]
    end
    local user = math.random(0, USERS - 1)
    return ready[(count % 10 == 0) and USERS + user or user]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format('\n{"requests": %d, "seconds": %.6f, "refused": %d, "p50_us": %d, ' ..
        '"p90_us": %d, "p99_us": %d, "p999_us": %d, "max_us": %d}\n',
        summary.requests, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(90), latency:percentile(99),
        latency:percentile(99.9), latency.max))
end
