"""When a number goes again, and how long a breaker stays open."""

from hypothesis import given
from hypothesis import strategies as st

from trunkline.engine.backoff import breaker_delay_s, draw_for, retry_at_ms
from trunkline.profiles.profile import RetryRules

RULES = RetryRules(max_attempts=3, initial_s=4.0, max_s=60.0)
NOW_MS = 1_795_348_800_123

attempts = st.integers(1, 10_000)
draws = st.floats(0, 1, exclude_max=True)


@given(attempts, draws, st.integers(0, 2**45))
def test_a_retry_lies_between_the_floor_and_the_cap_on_a_whole_second(attempt: int, draw: float, now_ms: int) -> None:
    at_ms = retry_at_ms(RULES, attempt, draw, now_ms)
    cap_s = min(60.0, 4.0 * 2 ** min(attempt - 1, 20))
    assert at_ms % 1000 == 0
    assert 2_000 <= at_ms - now_ms <= cap_s * 1000 + 1000


@given(attempts, draws)
def test_a_later_attempt_never_waits_less_with_the_same_draw(attempt: int, draw: float) -> None:
    assert retry_at_ms(RULES, attempt, draw, NOW_MS) <= retry_at_ms(RULES, attempt + 1, draw, NOW_MS)


@given(st.text(), attempts, st.text())
def test_a_draw_is_the_same_everywhere_and_within_its_bounds(profile: str, attempt: int, salt: str) -> None:
    assert 0 <= draw_for(profile, attempt, salt) < 1
    assert draw_for(profile, attempt, salt) == draw_for(profile, attempt, salt)


def test_draws_differ_by_profile_attempt_and_salt_and_cover_the_range() -> None:
    drawn = [draw_for(f"p{i}", attempt, salt) for i in range(20) for attempt in range(1, 11) for salt in ("", "x")]
    assert len(set(drawn)) == len(drawn)
    assert 0.45 < sum(drawn) / len(drawn) < 0.55
    assert min(drawn) < 0.05
    assert max(drawn) > 0.95


def test_a_gate_stays_closed_twice_as_long_each_time_up_to_its_most() -> None:
    assert [breaker_delay_s(n, 30, 900, None) for n in (1, 2, 3, 6, 7, 10_000)] == [30, 60, 120, 900, 900, 900]


def test_a_gate_keeps_what_the_api_asks_for_and_grows_if_it_asks_for_nothing() -> None:
    assert breaker_delay_s(1, 30, 900, 5) == 5
    assert breaker_delay_s(1, 30, 900, 3600) == 3600
    assert [breaker_delay_s(n, 30, 900, 0) for n in (0, 1, 2, 3, 6, 9)] == [1, 1, 2, 4, 30, 30]


@given(st.integers(0, 10**9), st.floats(0.001, 86400), st.floats(0.001, 86400), st.none() | st.floats(0, 86400))
def test_a_gate_never_opens_at_once(consecutive: int, initial_s: float, max_s: float, asked: float | None) -> None:
    assert 0 < breaker_delay_s(consecutive, initial_s, max_s, asked) <= 86400
