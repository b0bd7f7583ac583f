-- One decision: the sliding window of windows.py, on the clock of Redis, so that the gateways' own do not matter.
-- KEYS[1]  prefix of the bucket, as a hash tag, so that all of its keys are on one node
-- ARGV     window in ms; limit of requests, limit of tokens (-1: none); tokens of this request; requests and tokens that
--          are counted besides, for a lease (leases.py), where a tenth of each limit is left after them
-- gives    {admitted, elapsed ms, requests now, before, tokens now, before, number of the window, whether a lease is
--          counted}, as counted before it
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local window = tonumber(ARGV[1])
local number = math.floor(ms / window)
local elapsed = ms - number * window
local present = KEYS[1] .. ':' .. number
local values = redis.call('HMGET', present, 'requests', 'tokens')
local before = redis.call('HMGET', KEYS[1] .. ':' .. (number - 1), 'requests', 'tokens')
local requests, tokens = tonumber(values[1] or 0), tonumber(values[2] or 0)
local requests_before, tokens_before = tonumber(before[1] or 0), tonumber(before[2] or 0)
local left = 1 - (elapsed / 1000) / (window / 1000)  -- the same divisions as windows.py, so that both say the same
local most_requests, most_tokens, amount = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local admitted = 1
if most_requests >= 0 and requests + requests_before * left + 1 > most_requests then admitted = 0 end
if most_tokens >= 0 and tokens + tokens_before * left + amount > most_tokens then admitted = 0 end
local more_requests, more_tokens, leased = tonumber(ARGV[5]), tonumber(ARGV[6]), 0
if admitted == 1 and more_requests + more_tokens > 0 then
    leased = 1
    local asked, spent = requests + requests_before * left + 1, tokens + tokens_before * left + amount
    if most_requests >= 0 and asked + more_requests > most_requests * 0.9 then leased = 0 end
    if most_tokens >= 0 and spent + more_tokens > most_tokens * 0.9 then leased = 0 end
end
if admitted == 1 then
    redis.call('HINCRBY', present, 'requests', 1 + leased * more_requests)
    redis.call('HINCRBY', present, 'tokens', amount + leased * more_tokens)
    redis.call('PEXPIRE', present, window * 2)
end
return {admitted, elapsed, requests, requests_before, tokens, tokens_before, number, leased}
