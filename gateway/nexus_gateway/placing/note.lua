-- Remembers who has answered a conversation, before those that had it before, and three of them at most.
-- KEYS[1]  the conversation. ARGV  the endpoint's seed, 8 bytes; ms for which it is remembered
local held, before = ARGV[1], redis.call('GET', KEYS[1]) or ''
for place = 1, #before, 8 do
    local one = before:sub(place, place + 7)
    if one ~= ARGV[1] and #held < 24 then
        held = held .. one
    end
end
redis.call('SET', KEYS[1], held, 'PX', ARGV[2])
return 1
