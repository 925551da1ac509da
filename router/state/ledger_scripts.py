"""What a ledger does in one step inside Redis, as Lua scripts.

    {{prefix}:ledger}:accounts   hash: account -> its limit, then a line for each cell: bucket, spent, reserved, lapsed
    {{prefix}:ledger}:claims     hash: id -> stage, amount, lapse, then a line for each place: bucket, account
    {{prefix}:ledger}:due        sorted: id by when it lapses or is forgotten
    {{prefix}:ledger}:ends       sorted: account by when it may go
    {{prefix}:ledger}:rebuilt    when the log was read that was rebuilt from last

The braces make all five live on one node of a cluster, since a claim is in accounts of any kind and all of them change
together. Accounts are named by `router.state.moves.name_of`, in which no line ends. Times are those of the callers.

Numbers of Lua are exact to 2^53 only, which is nine million dollars in nano-dollars. So an amount is text, and is added
in two limbs of nine digits and more.
"""

from __future__ import annotations

from typing import Final

from router.state.redis_calls import script

_HEAD: Final = """
local ACCOUNTS, CLAIMS, DUE, ENDS, REBUILT = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local BASE = 1000000000
local MOST = '9000000000000000000'
local find, match, sub, format = string.find, string.match, string.sub, string.format

local function limbs(text)
  if #text <= 9 then return 0, tonumber(text) end
  return tonumber(sub(text, 1, -10)), tonumber(sub(text, -9))
end
local function spelt(high, low)
  if high == 0 then return format('%.0f', low) end
  return format('%.0f%09.0f', high, low)
end
local function plus(a, b)
  if a == '0' then return b end
  if b == '0' then return a end
  if #a <= 15 and #b <= 15 then return format('%.0f', a + b) end
  local ah, al = limbs(a)
  local bh, bl = limbs(b)
  local high, low = ah + bh, al + bl
  if low >= BASE then high, low = high + 1, low - BASE end
  return spelt(high, low)
end
local function minus(a, b)
  if #a <= 15 and #b <= 15 then return format('%.0f', a - b) end
  local ah, al = limbs(a)
  local bh, bl = limbs(b)
  local high, low = ah - bh, al - bl
  if low < 0 then high, low = high - 1, low + BASE end
  return spelt(high, low)
end
local function more(a, b)
  return #a > #b or (#a == #b and a > b)
end

-- Accounts are read once and written at the end. Of the cells, which may be many, only those are taken out of an
-- account's text that a claim is in.
local loaded, changed = {}, {}
local function load(name)
  local account = loaded[name]
  if account == nil then
    local raw = redis.call('HGET', ACCOUNTS, name)
    account = raw and {limit = match(raw, '^%d+'), text = match(raw, '\\n.*') or '', cells = {}}
    loaded[name] = account
  end
  return account
end
local function cell(name, bucket)
  local account = load(name)
  if account and not account.cells[bucket] then
    local _, stop = find(account.text, '\\n' .. bucket .. ' ', 1, true)
    if stop then account.cells[bucket] = {match(account.text, '^(%d+) (%d+) (%d+)', stop + 1)} end
  end
  return account and account.cells[bucket]
end
-- The cell that a claim is in, with so much of it at this number. A claim may outlive its cell: one that was begun anew
-- there has nothing of it to give.
local function having(name, bucket, at, amount)
  local cell = cell(name, bucket)
  return cell and not more(amount, cell[at]) and cell
end
local function begun(name, limit, bucket, kept_from, ends)
  local account = load(name)
  if not account then
    account = {text = '', cells = {}}
    loaded[name] = account
  end
  account.limit = limit
  if not cell(name, bucket) then
    account.text = string.gsub(account.text, '\\n(%-?%d+) [^\\n]*', function(other)
      if tonumber(other) < tonumber(kept_from) then
        account.cells[other] = nil
        return ''
      end
    end) .. '\\n' .. bucket .. ' 0 0 0'
    account.cells[bucket] = {'0', '0', '0'}
    if ends ~= 'inf' then
      local before = redis.call('ZSCORE', ENDS, name)
      if not before or tonumber(before) < tonumber(ends) then redis.call('ZADD', ENDS, ends, name) end
    end
  end
  changed[name] = true
  return account.cells[bucket]
end
local function save()
  for name in pairs(changed) do
    local account = loaded[name]
    local text = account.text
    for bucket, cell in pairs(account.cells) do
      local _, stop = find(text, '\\n' .. bucket .. ' ', 1, true)
      text = sub(text, 1, stop) .. table.concat(cell, ' ') .. sub(text, find(text, '\\n', stop, true) or #text + 1)
    end
    redis.call('HSET', ACCOUNTS, name, account.limit .. text)
  end
end
-- Up to 120 cells of 13 digits are exact as numbers of Lua.
local function standing(name, counted_from)
  local account, from = load(name), tonumber(counted_from)
  local small, large = {0, 0, 0}, {'0', '0', '0'}
  if account then
    for bucket, spent, reserved, lapsed in string.gmatch(account.text, '\\n(%-?%d+) (%d+) (%d+) (%d+)') do
      if tonumber(bucket) >= from then
        for at, nano in ipairs(account.cells[bucket] or {spent, reserved, lapsed}) do
          if #nano <= 13 then small[at] = small[at] + nano else large[at] = plus(large[at], nano) end
        end
      end
    end
  end
  for at = 1, 3 do
    if small[at] > 0 then large[at] = plus(large[at], format('%.0f', small[at])) end
  end
  return large[1], large[2], large[3]
end

local function read(id)
  local raw = redis.call('HGET', CLAIMS, id)
  if not raw then return nil end
  local stage, amount, lapses, places = string.match(raw, '^(%a+) (%d+) (%S+)(.*)$')
  return stage, amount, lapses, places
end
local function write(id, stage, amount, lapses, places, due)
  redis.call('HSET', CLAIMS, id, stage .. ' ' .. amount .. ' ' .. lapses .. places)
  redis.call('ZADD', DUE, due, id)
end
local function each(places)
  return string.gmatch(places, '\\n(%-?%d+) ([^\\n]+)')
end
local function clean(now, kept, most)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, most)) do
    local stage, amount, lapses, places = read(id)
    if stage == 'reserved' then
      for bucket, name in each(places) do
        local cell = having(name, bucket, 2, amount)
        if cell then
          cell[1], cell[2], cell[3] = plus(cell[1], amount), minus(cell[2], amount), plus(cell[3], amount)
          changed[name] = true
        end
      end
      write(id, 'lapsed', amount, lapses, places, tonumber(lapses) + tonumber(kept))
    else
      redis.call('HDEL', CLAIMS, id)
      redis.call('ZREM', DUE, id)
    end
  end
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', ENDS, '-inf', now, 'LIMIT', 0, most)) do
    redis.call('HDEL', ACCOUNTS, name)
    redis.call('ZREM', ENDS, name)
    loaded[name], changed[name] = false, nil
  end
end
local function clean_all(now, kept)
  while #redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, 1) > 0
    or #redis.call('ZRANGEBYSCORE', ENDS, '-inf', now, 'LIMIT', 0, 1) > 0 do
    clean(now, kept, 1000)
  end
end
"""

RESERVE: Final = script(
    _HEAD
    + """
-- ARGV: now, kept, id, amount, lapse, how much to clean, then of each entry: account, limit, strict, bucket, counted
-- from, kept from, end.
-- Returns what came of it, then of each entry as it stands without the claim: spent, reserved, lapsed.
local now, kept, id, amount, lapses = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if ARGV[6] ~= '0' then clean(now, kept, ARGV[6]) end
local known = redis.call('HEXISTS', CLAIMS, id) == 1
local answer, fits, places, full = {''}, true, {}, nil
for at = 7, #ARGV, 7 do
  local name, limit, strict, bucket, counted_from = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local spent, reserved, lapsed = standing(name, counted_from)
  answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = spent, reserved, lapsed
  local all = plus(plus(spent, reserved), amount)
  if strict == '1' and amount ~= '0' and more(all, limit) then fits = false end
  local cell = not known and more(all, MOST) and cell(name, bucket)
  if cell and more(plus(plus(cell[1], cell[2]), amount), MOST) then full = full or name end
end
if fits and full then
  save()
  return {'uncountable', full}
end
answer[1] = known and 'known' or fits and 'granted' or 'refused'
if fits and not known then
  for at = 7, #ARGV, 7 do
    local name, bucket = ARGV[at], ARGV[at + 3]
    local cell = begun(name, ARGV[at + 1], bucket, ARGV[at + 5], ARGV[at + 6])
    cell[2] = plus(cell[2], amount)
    places[#places + 1] = '\\n' .. bucket .. ' ' .. name
  end
  write(id, 'reserved', amount, lapses, table.concat(places), lapses)
end
save()
return answer
"""
)

SETTLE: Final = script(
    _HEAD
    + """
-- ARGV: id, cost, lapse, whether it is a sum, when it is forgotten, when as a sum, then of each entry: account, limit,
-- bucket, kept from, end. Returns {''}, or {'uncountable', account}.
local id, cost, new_lapses, sum, forgotten, sum_forgotten = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local stage, amount, lapses, places = read(id)
if stage == 'settled' or (stage == 'summed' and not more(cost, amount)) then return {''} end
if not stage and tonumber(forgotten) <= tonumber(redis.call('GET', REBUILT) or '-inf') then return {''} end
local cells = {}
if stage then
  local at = stage == 'reserved' and 2 or stage == 'lapsed' and 3 or 1
  for bucket, name in each(places) do
    local cell = having(name, bucket, at, amount)
    if cell then cells[#cells + 1] = {cell, name} end
  end
else
  lapses, places = new_lapses, ''
  for at = 7, #ARGV, 5 do
    local name, bucket = ARGV[at], ARGV[at + 2]
    local cell = cell(name, bucket)
    if cell and more(plus(plus(cell[1], cell[2]), cost), MOST) then return {'uncountable', name} end
    cells[#cells + 1] = {begun(name, ARGV[at + 1], bucket, ARGV[at + 3], ARGV[at + 4]), name}
    places = places .. '\\n' .. bucket .. ' ' .. name
  end
end
local after = {}
for number, found in ipairs(cells) do
  local cell, name = found[1], found[2]
  local spent, reserved, lapsed = cell[1], cell[2], cell[3]
  if stage == 'reserved' then reserved = minus(reserved, amount) end
  if stage == 'lapsed' then lapsed = minus(lapsed, amount) end
  if stage == 'lapsed' or stage == 'summed' then spent = minus(spent, amount) end
  spent = plus(spent, cost)
  if more(plus(spent, reserved), MOST) then return {'uncountable', name} end
  after[number] = {spent, reserved, lapsed}
end
for number, found in ipairs(cells) do
  found[1][1], found[1][2], found[1][3] = after[number][1], after[number][2], after[number][3]
  changed[found[2]] = true
end
if stage == 'summed' or sum == '1' then
  write(id, 'summed', cost, lapses, places, sum_forgotten)
else
  write(id, 'settled', cost, lapses, places, forgotten)
end
save()
return {''}
"""
)

STANDINGS: Final = script(
    _HEAD
    + """
-- ARGV: now, kept, then of each entry: account, counted from. Returns of each: spent, reserved, lapsed.
clean_all(ARGV[1], ARGV[2])
local answer = {}
for at = 3, #ARGV, 2 do
  local spent, reserved, lapsed = standing(ARGV[at], ARGV[at + 1])
  answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = spent, reserved, lapsed
end
save()
return answer
"""
)

REBUILD: Final = script(
    _HEAD
    + """
-- ARGV: now, how long accounts are kept, how long what lapsed stays, then how many ids, accounts and claims follow; ids
-- that the log has; of each account as the log has it: name, text, end; of each claim of the log: id, places, amount,
-- lapse, stage, when it is forgotten. Mirrors `logged_as` and `outlasts` of `router.state.moves`.
local now, kept, late = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local ids, accounts, claims = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local logged, settled, sums, staying, limits, ends = {}, {}, {}, {}, {}, {}
for at = 7, 6 + ids do logged[ARGV[at]] = true end
for _, id in ipairs(redis.call('HKEYS', CLAIMS)) do
  local stage, amount, lapses, places = read(id)
  local due = redis.call('ZSCORE', DUE, id)
  local stays = tonumber(lapses) + late > now
  if stage == 'settled' then stays = tonumber(due) > now end
  if stage == 'summed' then stays = tonumber(due) - kept > now end
  if logged[id] and stage == 'settled' then
    settled[id] = {amount, lapses, places, due}
  elseif logged[id] and stage == 'summed' and stays then
    sums[id] = {amount, due}
  elseif stays and not logged[id] then
    staying[#staying + 1] = {id, stage, amount, lapses, places, due}
    for _, name in each(places) do
      local account = load(name)
      if account then limits[name], ends[name] = account.limit, redis.call('ZSCORE', ENDS, name) or 'inf' end
    end
  end
end
redis.call('DEL', ACCOUNTS, CLAIMS, DUE, ENDS)
redis.call('SET', REBUILT, ARGV[1])
loaded = {}
local at = 7 + ids
for _ = 1, accounts do
  redis.call('HSET', ACCOUNTS, ARGV[at], ARGV[at + 1])
  if ARGV[at + 2] ~= 'inf' then redis.call('ZADD', ENDS, ARGV[at + 2], ARGV[at]) end
  at = at + 3
end
for _ = 1, claims do
  local id, places, amount, lapses, stage, due = unpack(ARGV, at, at + 5)
  local sum = sums[id]
  if sum and more(sum[1], amount) then
    for bucket, name in each(places) do
      local cell = begun(name, load(name).limit, bucket, '-1e15', 'inf')
      cell[1] = plus(cell[1], minus(sum[1], amount))
    end
    amount = sum[1]
  end
  if sum and tonumber(sum[2]) > tonumber(due) then due = sum[2] end
  if settled[id] then settled[id][1] = amount else write(id, stage, amount, lapses, places, due) end
  at = at + 6
end
for id, held in pairs(settled) do
  local amount, lapses, places, due = unpack(held)
  if tonumber(due) > now then write(id, 'settled', amount, lapses, places, due) end
end
for _, held in ipairs(staying) do
  local id, stage, amount, lapses, places, due = unpack(held)
  for bucket, name in each(places) do
    if limits[name] then  -- an account that was over by then is not begun again
      local account = load(name)
      local cell = begun(name, account and account.limit or limits[name], bucket, '-1e15', ends[name])
      if stage == 'reserved' then cell[2] = plus(cell[2], amount) else cell[1] = plus(cell[1], amount) end
      if stage == 'lapsed' then cell[3] = plus(cell[3], amount) end
    end
  end
  write(id, stage, amount, lapses, places, due)
end
save()
"""
)
