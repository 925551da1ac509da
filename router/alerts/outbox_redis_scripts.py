"""What must happen in one step inside Redis, as Lua scripts.

    {prefix}:{outbox}:names              sorted set: names of alerts that were raised, by when each may be forgotten
    {prefix}:{outbox}:rows               hash: of each delivery what never changes, as JSON
    {prefix}:{outbox}:marks              hash: of each delivery how it stands, as JSON
    {prefix}:{outbox}:due:DESTINATION    sorted set: deliveries by when they are due, or their claim is over
    {prefix}:{outbox}:dead               sorted set: those that were tried often enough
    {prefix}:{outbox}:disabled           hash: destinations to which nothing is sent, and why

The braces stand in the names: a cluster keeps what agrees in them on one node, so that a script may touch all of them.
A script touches what it is given as KEYS and nothing else. A mark has failures `f`, note `n`, dead `d`, claim `c`, and
the time `t` as text, since Lua would round it.
"""

from __future__ import annotations

from typing import Final

from router.state.redis_calls import script

PUT: Final = script("""
-- KEYS: names, rows, marks, due sets. ARGV: forget before, name, until, now, mark, then field and row for each due set.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1])
if redis.call('ZSCORE', KEYS[1], ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2])
for i = 4, #KEYS do
  local field, row = ARGV[2 * i - 2], ARGV[2 * i - 1]
  redis.call('HSET', KEYS[2], field, row)
  redis.call('HSET', KEYS[3], field, ARGV[5])
  redis.call('ZADD', KEYS[i], ARGV[4], field)
end
return 1
""")

CLAIM: Final = script("""
-- KEYS: rows, marks, disabled, due sets. ARGV: now, until, most, claim, then a destination for each due set.
-- Returns row and mark of each that is claimed.
local found, left = {}, tonumber(ARGV[3])
for i = 4, #KEYS do
  if left > 0 and redis.call('HEXISTS', KEYS[3], ARGV[i + 1]) == 0 then
    for _, field in ipairs(redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', ARGV[1], 'LIMIT', 0, left)) do
      local mark = cjson.decode(redis.call('HGET', KEYS[2], field))
      mark.c, mark.t = ARGV[4], ARGV[2]
      local text = cjson.encode(mark)
      redis.call('HSET', KEYS[2], field, text)
      redis.call('ZADD', KEYS[i], ARGV[2], field)
      found[#found + 1] = redis.call('HGET', KEYS[1], field)
      found[#found + 1] = text
      left = left - 1
    end
  end
end
return found
""")

NEXT: Final = script("""
-- KEYS: disabled, due sets. ARGV: a destination for each due set. Returns the first time, or nothing.
local first = nil
for i = 2, #KEYS do
  if redis.call('HEXISTS', KEYS[1], ARGV[i - 1]) == 0 then
    local one = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')[2]
    if one and (not first or tonumber(one) < tonumber(first)) then
      first = one
    end
  end
end
return first
""")

DONE: Final = script("""
-- KEYS: rows, marks, due set, dead. ARGV: field.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
""")

CHANGE: Final = script("""
-- KEYS: marks, due set, dead. ARGV: field, claim, mark, time, 'dead' or ''. Returns whether the claim was still held.
local mark = redis.call('HGET', KEYS[1], ARGV[1])
if not mark or cjson.decode(mark).c ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if ARGV[5] == 'dead' then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
else
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
end
return 1
""")

REVIVE: Final = script("""
-- KEYS: marks, due set, dead. ARGV: field, mark, now. Returns whether it was dead.
if redis.call('ZREM', KEYS[3], ARGV[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return 1
""")

LIST: Final = script("""
-- KEYS: rows, marks. Returns row and mark of each delivery.
local found = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  found[#found + 1] = redis.call('HGET', KEYS[1], field)
  found[#found + 1] = redis.call('HGET', KEYS[2], field)
end
return found
""")
