#!lua flags=allow-oom
-- permit: permission to send one HTTP request: the batch is still ours, and its slot in the account's rate has come.
-- This check, right before every send, is what fences a zombie: a worker that slept past its lease learns it here.
--
-- ARGV[2]  the batch's id, or "" for a probe
-- ARGV[3]  the account
-- ARGV[4]  how many numbers an attach request carries; "" for any other request
-- ARGV[5…] those of them that the API is known not to have, so that a later read-back can tell what this request did
-- Result   {"ok", now}, {"wait", ms until the rate allows it}, or {"lost"}: the lease is over or another has the batch
-- Cost     6 commands
-- @include accounts
-- @include books
local id, a, n_numbers = ARGV[2], ARGV[3], tonumber(ARGV[4])
local EARLY = 5 -- ms that a request may leave before its slot; waking up for less costs more than it spares
local batch = P .. 'batch:' .. id
if id ~= '' then
  local ends = tonumber(call('ZSCORE', P .. 'leases', id) or nil)
  if not ends or ends <= NOW then return { 'lost' } end
end
local holder, SLOT = batch, BATCH.slot
if id == '' then holder, SLOT = P .. 'account:' .. a, ACCOUNT.slot end
local slot = call('HGET', holder, SLOT)
if not slot then
  slot = take_slot(a, account(a))
  call('HSET', holder, SLOT, slot)
  to_touch[a] = true
end
local wait = math.ceil(tonumber(slot) - NOW - EARLY)
if wait > FUTURE then -- no slot lies as far ahead, unless the account's are so far apart: the clock has stepped back
  local acc = account(a)
  if wait > FUTURE + AHEAD + acc.max_calls * acc.interval then
    slot = take_slot(a, acc)
    call('HSET', holder, SLOT, slot)
    to_touch[a] = true
    wait = math.ceil(tonumber(slot) - NOW - EARLY)
  end
end
if wait > 0 then
  finish()
  return { 'wait', wait }
end
call('HDEL', holder, SLOT)
if n_numbers then
  call('HSETNX', batch, BATCH.sent_at, NOW)
  if #ARGV > 4 then call('HSET', batch, BATCH.absent, table.concat(ARGV, '\n', 5)) end
  tally('calls', 1)
  tally('numbers', n_numbers)
end
finish()
return { 'ok', NOW }
