-- Ends a claim: keeps its answer, or frees the name; and tells the gateways that wait for it.
-- KEYS[1]  the name. ARGV  fingerprint, token, ms for which the answer is kept, the answer (empty: the name is free)
-- gives    1; 0 where the claim had ended: what another holder keeps stays
local fields = redis.call('HGETALL', KEYS[1])
local waiting, token = {}, ARGV[2]
for place = 1, #fields, 2 do
    if fields[place] == 'answer' then token = '' end
    if fields[place] == 'token' then token = fields[place + 1] end
    if string.sub(fields[place], 1, 6) == 'waits:' then table.insert(waiting, string.sub(fields[place], 7)) end
end
if token ~= ARGV[2] then return 0 end  -- a name that nobody has, since the lease was over, is still ours to keep
redis.call('DEL', KEYS[1])
if ARGV[4] ~= '' then
    redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'answer', ARGV[4])
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
for _, channel in ipairs(waiting) do redis.call('PUBLISH', channel, KEYS[1]) end
return 1
