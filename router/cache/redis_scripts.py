"""What must happen in one step inside Redis, as Lua scripts.

    {prefix}:{{key}}:value     hash: `v` the value, `l` its label, `n` its size in bytes; lives for the value's time
    {prefix}:{{key}}:lease     string: the holder; lives for the lease's time
    {prefix}:{{key}}:pieces    list: what the holder published; lives as long as the lease

The braces stand in the names: a cluster keeps what agrees in them on one node, so that a script may touch all three.
A script touches what it is given as KEYS and nothing else. Times are milliseconds by the server's clock, which stands
still while a script runs, so that a lease and its pieces lapse together.
"""

from __future__ import annotations

from typing import Final

from router.state.redis_calls import script

JOIN: Final = script("""
-- KEYS: value, lease, pieces. ARGV: holder, time. Returns {1 or 0, value}.
local value = redis.call('HGET', KEYS[1], 'v')
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then
  return {0, value}
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
if holder then
  redis.call('PEXPIRE', KEYS[3], ARGV[2])
else
  redis.call('DEL', KEYS[3])
end
return {1, value}
""")

RENEW: Final = script("""
-- KEYS: lease, pieces. ARGV: holder, time, piece, piece, ... Returns 1 or 0.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
for i = 3, #ARGV do
  redis.call('RPUSH', KEYS[2], ARGV[i])
end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
""")

WATCH: Final = script("""
-- KEYS: value, lease, pieces. ARGV: number of the first piece. Returns {holder, value, {piece, piece, ...}}.
local holder = redis.call('GET', KEYS[2])
local pieces = {}
if holder then
  pieces = redis.call('LRANGE', KEYS[3], ARGV[1], -1)
end
return {holder, redis.call('HGET', KEYS[1], 'v'), pieces}
""")

PUT: Final = script("""
-- KEYS: value, lease, pieces. ARGV: value, label, time, and the holder whose lease ends, if one is named.
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'v', ARGV[1], 'l', ARGV[2], 'n', #ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if ARGV[4] and redis.call('GET', KEYS[2]) == ARGV[4] then
  redis.call('DEL', KEYS[2], KEYS[3])
end
""")

LEAVE: Final = script("""
-- KEYS: lease, pieces. ARGV: holder.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1], KEYS[2])
end
""")
