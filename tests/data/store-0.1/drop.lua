-- drop: ends entries for good because somebody said so: dead letters (drop), or numbers that still wait (cancel).
-- A number that is under way can't be called back: if that call does not attach it, it is dropped instead of tried again.
--
-- ARGV[2]  the state to take them from: d for dead letters, q for waiting ones
-- ARGV[3…] (profile, number) for each
-- Result   {dropped, under way and marked}
-- Cost     6 commands a number
local from = ARGV[2]
local dropped, marked = 0, 0
for i = 3, #ARGV, 2 do
  local p, n = ARGV[i], ARGV[i + 1]
  local key = entry_key(p, n)
  local e = call('HMGET', key, 's', 'n', 'w', 'x', 'k', 'v')
  if e[1] == from then
    if from == 'd' then call('ZREM', P .. 'dead', p .. ' ' .. n) else give_up_place(p, n, e[2]) end
    -- one that waits only for the check that it is still attached is attached, unless another profile sends to it too
    local to = (from == 'q' and e[6] == 'c' and not e[4]) and 'a' or 'x'
    call('HDEL', key, 'f', 'g')
    if to == 'a' then call('HDEL', key, 'v') end
    call('HSET', key, 's', to, 'u', NOW)
    move(p, from, to)
    tell(p, n, to)
    close_entry(p, n)
    if from == 'q' and e[4] and (e[5] or e[6] == 'd') then reassert(policy(p).a, n, p) end -- an earlier try may have gone through
    dropped = dropped + 1
  elseif from == 'q' and e[1] == 'f' and not e[3] then
    call('HDEL', key, 'g')
    call('HSET', key, 'w', 'x')
    marked = marked + 1
  end
end
write_closed()
finish()
return { dropped, marked }
