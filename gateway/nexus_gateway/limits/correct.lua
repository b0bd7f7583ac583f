-- Corrects what one request was counted as, while its window is kept; a count never falls below 0.
-- KEYS[1]  the bucket's prefix. ARGV  number of the window, requests and tokens to add (may be negative)
local key = KEYS[1] .. ':' .. ARGV[1]
if redis.call('EXISTS', key) == 1 then
    if redis.call('HINCRBY', key, 'requests', ARGV[2]) < 0 then redis.call('HSET', key, 'requests', 0) end
    if redis.call('HINCRBY', key, 'tokens', ARGV[3]) < 0 then redis.call('HSET', key, 'tokens', 0) end
end
return 1
