-- books: the counters of a profile and of the whole; changes are collected, and written by finish().

local moved, totals = {}, {}

local function count(p, field, by)
  local book = moved[p]
  if not book then book = {}; moved[p] = book end
  book[field] = (book[field] or 0) + by
  if field == 'queued' then totals.waiting = (totals.waiting or 0) + by end
end

local function tally(field, by) totals[field] = (totals[field] or 0) + by end

local function move(p, from, to)
  count(p, BOOK_OF[from], -1)
  count(p, BOOK_OF[to], 1)
end

function finishers.books()
  for p, book in pairs(moved) do
    for field, by in pairs(book) do
      if by ~= 0 then call('HINCRBY', P .. 'books:' .. p, field, by) end
    end
  end
  for field, by in pairs(totals) do
    if by ~= 0 then call('HINCRBY', P .. 'books', field, by) end
  end
end
