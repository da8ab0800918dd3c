-- core: what every script begins with: the prefix, the clock, the refusal of a store that asks for a newer program.

--
-- KEYS[1]  the prefix of every key, with the hash tag: "{tl}:" (one slot in a cluster)
-- ARGV[1]  now in milliseconds, or "" for the server's own clock (tests inject one)
--
-- A script looks first and writes after, and refuses before its first write where the store asks for a newer one (meta).
--
-- Keys (P is the prefix, <a> an account, <p> a profile, <n> a number, times in ms; fields have names: store/fields.py):
--   meta              hash   schema (of the data), least (the oldest schema that may write), clock (latest time that a beat saw),
--                            stepped "<ms> <at>" (the clock's last step back), retime (what it left is being put right),
--                            beat (when any worker last was heard of), governed (the configurations that the policies are of)
--   workers           zset   "<digest> <id>" -> until when it counts as living
--   worker:<id>       hash   what it says of itself: host, pid, version, threads, busy, digest, seen
--   configs           zset   digest of a configuration -> when it was first seen
--   config:<digest>   hash   digest, p:<p> "fingerprint account size wait directions trunk", a:<a> "cap iv"
--   due               zset   account -> when something of it may next be claimed
--   due:<a>           zset   profile -> when a batch of it may be claimed
--   policy:<p>        hash   POLICY
--   alike:<p>         set    the numbers refused alike since the last success
--   policies, accounts set   every name ever published
--   account:<a>       hash   ACCOUNT
--   ready:<p>         list   numbers, first in first out
--   split:<p>         list   child batches, numbers joined by "\n", that go out as they are
--   retry:<p>         zset   number -> when it may go again
--   entry:<p>:<n>     hash   E
--   route:<a>:<n>     hash   everybody who wants the number, as "<time of its newest event> <profile>": i and o, those who own a
--                            direction; h, the others, a line each. Also the index of a number's profiles
--   waiting:<a>       hash   number -> profiles held until the batch that has it is settled, joined by "\n"
--   batch:<id>        hash   BATCH
--   batches           string how many batches there have been
--   leases            zset   batch -> when its lease ends
--   inflight:<a>      set    the numbers under way
--   seen:<source>:<event_id>  string, 7 days;  forced:<source>:<event_id>  string, a minute
--   dead              zset   "<p> <n>" -> since when
--   ended             zset   "<p> <n>" -> sequence of its latest end, of whatever kind: a compacted log, read by cursor
--   sequence          string the last sequence;  cursors  hash  consumer -> the sequence it has read up to
--   closed            zset   day -> day;  closed:<day> list "<p> <n>": what schema 1 wrote in place of ended
--   secret:<p>        hash   register passwords, sealed
--   rejected          zset   id -> when it last came, in the order of coming;  rejected_of:<source> the same of one source
--   rejected_counts, rejected_sizes  zset  source -> how many of them, how many bytes of them it holds (schema 1)
--   rejected:<id>     hash   REJECTION
--   inventory:<source>, purchases:<source>  string, 24 hours, 30 days: where reading a carrier's inventory or log goes on
--                            (of purchases with the event ids that were taken, a line each)
--   books hash;  books:<p> hash

local P = KEYS[1]
local call = redis.call
local SCHEMA = 2 -- what these scripts write
local least = tonumber(call('HGET', P .. 'meta', 'least') or nil)
if least and least > SCHEMA then
  return redis.error_reply('TRUNKLINEOLD this program writes schema ' .. SCHEMA .. ', and the store takes ' .. least
    .. ' or newer')
end
local NOW = tonumber(ARGV[1])
if not NOW then
  local t = call('TIME')
  NOW = t[1] * 1000 + math.floor(t[2] / 1000)
end

local BOOK_OF = { [STATE.queued] = 'queued', [STATE.attaching] = 'attaching', [STATE.attached] = 'attached',
  [STATE.dead] = 'dead', [STATE.superseded] = 'superseded', [STATE.dropped] = 'dropped' }
local STEP = 2000 -- ms back that are no jitter of the clock
local FUTURE = 60000 -- ms ahead of the clock that no time of ours can be: the clock stood wrong when it was written

local function entry_key(p, n) return P .. 'entry:' .. p .. ':' .. n end

local function lines(text)
  local out = {}
  for line in string.gmatch(text, '[^\n]+') do out[#out + 1] = line end
  return out
end

-- What the parts have collected is written once, at the end of a script, in this order: each may add to the next.
local finishers = {}

local function finish()
  if finishers.ends then finishers.ends() end
  if finishers.schedule then finishers.schedule() end
  if finishers.accounts then finishers.accounts() end
  if finishers.books then finishers.books() end
end
