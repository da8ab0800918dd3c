-- ends: the log of ends, a compacted log that consumers read by cursor.

-- What a script brings to an end, goes to the log's end with the next sequences.
local ended = {}

local function ends(p, n) ended[#ended + 1] = p .. ' ' .. n end

function finishers.ends()
  if #ended == 0 then return end
  local sequence = call('INCRBY', P .. 'sequence', #ended) - #ended
  for from = 1, #ended, 500 do
    local args = {}
    for i = from, math.min(from + 499, #ended) do
      args[#args + 1] = sequence + i
      args[#args + 1] = ended[i]
    end
    call('ZADD', P .. 'ended', unpack(args))
  end
end
