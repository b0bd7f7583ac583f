-- Asks for a name, or goes on holding it: the same token gets it again, so that a Redis that has forgotten learns anew.
-- KEYS[1]  the name
-- ARGV     fingerprint, token of the asking claim, lease in ms, channel of the asking gateway
-- gives    {'claimed'}, {'kept', answer}, {'conflict'} or {'held', ms until its lease is over}
local found = redis.call('HMGET', KEYS[1], 'fingerprint', 'token', 'answer')
if not found[1] or found[2] == ARGV[2] then
    redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'token', ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    return {'claimed'}
end
if found[1] ~= ARGV[1] then return {'conflict'} end
if found[3] then return {'kept', found[3]} end
redis.call('HSET', KEYS[1], 'waits:' .. ARGV[4], '')  -- no new lease: it goes with the claim
return {'held', redis.call('PTTL', KEYS[1])}
