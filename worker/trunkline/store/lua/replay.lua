#!lua flags=allow-oom
-- replay: dead letters go back into the queue, with all their attempts.
--
-- ARGV[2…] (profile, number) for each
-- Result   how many were dead and are queued now
-- Cost     6 commands a number
local replayed = 0
for i = 2, #ARGV, 2 do
  local p, n = ARGV[i], ARGV[i + 1]
  local key = entry_key(p, n)
  local e = call('HMGET', key, 's', 'z')
  if e[1] == 'd' then
    call('ZREM', P .. 'dead', p .. ' ' .. n)
    call('HDEL', key, 'k', 'c', 'dc', 'da', 'v', 't', 'b', 'tr', 'ur')
    call('HSET', key, 's', 'q', 'q', NOW, 'u', NOW)
    move(p, 'd', 'q')
    enqueue_again(p, n, e[2])
    replayed = replayed + 1
  end
end
finish()
return replayed
