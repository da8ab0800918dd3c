#!lua flags=allow-oom
-- beat: a worker says that it lives, or that it leaves; and somebody has to look at the clock.
--
-- ARGV[2]  the worker's id
-- ARGV[3]  the digest of its configuration
-- ARGV[4]  how long it counts as living without another beat, ms; 0: it leaves
-- ARGV[5]  JSON of what it says of itself: {name: text}
-- Result   {configuration known (1 or 0), the policies are of the configurations of all who live (1 or 0),
--           ms that the clock stepped back and nobody has put right yet, living workers}
-- Cost     12 commands, and 2 for each digest and each worker that is gone
-- @include workers
local id, digest, ttl, said = ARGV[2], ARGV[3], tonumber(ARGV[4]), cjson.decode(ARGV[5])
local META, WORKERS = P .. 'meta', P .. 'workers'
local DAY = 86400000
local KEEP_MS = 30 * DAY -- a configuration without a worker
local LONGEST_TTL = 60000

local meta = call('HMGET', META, 'clock', 'beat', 'retime', 'governed')
local clock, beat = tonumber(meta[1] or nil) or NOW, tonumber(meta[2] or nil)
local back = clock - NOW
if back > STEP then
  call('HSET', META, 'clock', NOW, 'stepped', string.format('%d %d', back, NOW), 'retime', math.max(back,
    tonumber(meta[3] or nil) or 0))
elseif back < 0 or not meta[1] then
  call('HSET', META, 'clock', NOW)
end

-- Nobody was heard of for longer than anybody may be silent, or from a time that has not come: the clock has stepped.
local nobody_heard = beat and (NOW - beat > LONGEST_TTL or beat - NOW > STEP)
if nobody_heard then
  for _, member in ipairs(call('ZRANGE', WORKERS, 0, -1)) do call('ZADD', WORKERS, NOW + ttl, member) end
else
  call('ZREMRANGEBYSCORE', WORKERS, '-inf', NOW)
end
local member = digest .. ' ' .. id
local earlier = call('HGET', P .. 'worker:' .. id, 'digest')
if earlier and earlier ~= digest then call('ZREM', WORKERS, earlier .. ' ' .. id) end
if ttl == 0 then
  call('ZREM', WORKERS, member)
  call('DEL', P .. 'worker:' .. id)
else
  call('ZADD', WORKERS, NOW + ttl, member)
  local fields = { 'digest', digest, 'seen', NOW }
  for name, text in pairs(said) do
    fields[#fields + 1] = name
    fields[#fields + 1] = tostring(text)
  end
  call('HSET', P .. 'worker:' .. id, unpack(fields))
  call('PEXPIRE', P .. 'worker:' .. id, 3600000)
  call('HSET', META, 'beat', NOW)
end
local configured = call('PEXPIRE', P .. 'config:' .. digest, KEEP_MS)
local governed = table.concat(living_configurations(), ' ')
return { configured, (meta[4] or '') == governed and 1 or 0, tonumber(call('HGET', META, 'retime') or 0),
  call('ZCARD', WORKERS) }
