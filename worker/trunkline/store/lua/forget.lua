#!lua flags=allow-oom
-- forget: lets go of rejections, because somebody said so or because they were replayed.
--
-- ARGV[2…] ids
-- Result   how many there were
-- Cost     3 commands each
-- @include books
local INDEX = P .. 'rejected'

local function forget(id)
  local key = INDEX .. ':' .. id
  local size = call('HGET', key, REJECTION.size)
  call('DEL', key)
  tally('rejected_bytes', -(size or 0))
  return call('ZREM', INDEX, id)
end

local result = 0
for i = 2, #ARGV do result = result + forget(ARGV[i]) end
finish()
return result
