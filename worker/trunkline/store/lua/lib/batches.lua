-- batches: the end of a batch.
-- @include accounts

-- Ends a batch: no lease, nothing of it in flight, the account's slot free.
local function end_batch(id, a, numbers)
  call('DEL', P .. 'batch:' .. id)
  call('ZREM', P .. 'leases', id)
  call('SREM', P .. 'inflight:' .. a, unpack(numbers))
  call('HINCRBY', P .. 'account:' .. a, ACCOUNT.calls, -1)
  to_touch[a] = true
end
