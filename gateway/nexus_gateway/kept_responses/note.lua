-- Remembers where a response is; one that another owner has had under its id is nobody's from then on.
-- KEYS[1]  the response. ARGV  its owner, its place, ms for which it is remembered
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner and owner ~= ARGV[1] then
    redis.call('HSET', KEYS[1], 'owner', '', 'place', '')
else
    redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'place', ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
