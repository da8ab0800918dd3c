-- reap: takes up the numbers of batches whose lease ran out: their worker crashed, hangs or lost the store.
-- They go out again as they were together; two crashes split them, a lone number's third is a dead letter.
--
-- ARGV[2]  how many batches at most
-- Result   {batches reaped, numbers taken up, when the next lease ends or "", now}
-- Cost     4 commands a number
local reaped, taken_up = 0, 0

local function take_up(a, p, n, sent)
  local key = entry_key(p, n)
  local e = call('HMGET', key, 'w', 'g', 'x', 'k', 'v')
  call('HDEL', key, 'g', 'w')
  if e[3] and (sent or e[4] or e[5] == 'd') then reassert(a, n, p) end
  if e[1] then
    call('HSET', key, 's', e[1], 'u', NOW)
    move(p, 'f', e[1])
    tell(p, n, e[1])
    close_entry(p, n)
    return nil
  end
  if e[2] == 'f' then call('HSET', key, 'f', 1) end
  if sent then call('HSET', key, 'v', 'd', 't', sent) end
  return call('HINCRBY', key, 'c', 1)
end

for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'leases', '-inf', NOW, 'LIMIT', 0, ARGV[2])) do
  local b = call('HMGET', P .. 'batch:' .. id, 'p', 'a', 'n', 'sent')
  local p, a, numbers, sent = b[1], b[2], lines(b[3]), b[4]
  local open, crashes = {}, 0
  for _, n in ipairs(numbers) do
    local c = take_up(a, p, n, sent)
    if c then
      open[#open + 1] = n
      crashes = math.max(crashes, c)
    end
  end
  if #open == 1 and crashes >= 3 then
    local key = entry_key(p, open[1])
    call('HSET', key, 'ec', 'crashed_worker', 'ea', '', 'em', 'three workers in a row ended while they had this number', 'er', '')
    move(p, 'f', 'd')
    die(p, open[1], 'crashed_worker')
  elseif #open > 0 then
    for _, n in ipairs(open) do
      call('HSET', entry_key(p, n), 's', 'q', 'u', NOW)
      move(p, 'f', 'q')
    end
    local parts = (crashes >= 2 and #open > 1) and 2 or 1
    local middle = math.ceil(#open / parts)
    call('RPUSH', P .. 'split:' .. p, table.concat(open, '\n', 1, middle))
    if parts == 2 then call('RPUSH', P .. 'split:' .. p, table.concat(open, '\n', middle + 1)) end
  end
  end_batch(id, a, numbers)
  wake_waiting(a, numbers)
  schedule(p)
  reaped = reaped + 1
  taken_up = taken_up + #open
end
write_closed()
finish()
local soonest = call('ZRANGE', P .. 'leases', 0, 0, 'WITHSCORES')
return { reaped, taken_up, soonest[2] or '', NOW }
