-- KEYS[1]  the response
-- gives    its place, empty where it is nobody's; nothing where it is not remembered
return redis.call('HGET', KEYS[1], 'place')
