"""Any table gives a profile or mistakes, and a profile comes back from its table as it went."""

from collections.abc import Mapping

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from trunkline.profiles.profile import parse_profiles
from trunkline.schema import Secret
from trunkline.schema import plain as fields_of


def resolve(reference: Mapping[str, str]) -> Secret:
    ((kind, name),) = reference.items()
    return Secret(f"{kind}:{name}", SecretStr("correct-horse"))


PLAIN = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=12)
SECRETS = st.sampled_from([{"env": "SIP_PASSWORD"}, {"file": "PBX_PASSWORD"}])
HEADER_NAME = st.text(alphabet="abcXYZ019-_", min_size=1, max_size=12)
ITEM = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("custom"), "key": HEADER_NAME, "value": HEADER_NAME},
        optional={"passthrough": st.booleans()},
    ),
    st.fixed_dictionaries(
        {"type": st.just("uui")},
        optional={"target": PLAIN, "purpose": PLAIN, "encoding": st.sampled_from(["hex", "ascii"]), "content": PLAIN},
    ),
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "port": st.integers(1, 65535),
        "transport": st.sampled_from(["udp", "tcp", "tls"]),
        "secure_media": st.booleans(),
        "sip_username": PLAIN,
        "sip_password": SECRETS,
    },
)


def direction(kind: str) -> st.SearchStrategy[dict[str, object]]:
    block = st.fixed_dictionaries({"direction": st.just(kind), "headers": st.lists(ITEM, max_size=3)})
    plain = st.fixed_dictionaries(
        {"type": st.just(kind), "sip_endpoint": st.sampled_from(["sip:h.example", "sip:u@10.0.0.1:5061;lr"])},
        optional={"headers": block, "options": OPTIONS},
    )
    register = st.fixed_dictionaries({"username": PLAIN, "password": SECRETS})
    auth: st.SearchStrategy[dict[str, object]] = st.just({}) | register.map(
        lambda given: {"auth_mode": "register", "register_auth": given}
    )
    return st.builds(lambda table, more: {**table, **more}, plain, auth if kind == "inbound" else st.just({}))


PROFILE = st.fixed_dictionaries(
    {
        "directions": st.one_of(
            direction("inbound").map(lambda one: [one]),
            direction("outbound").map(lambda one: [one]),
            st.tuples(direction("outbound"), direction("inbound")).map(list),
        )
    },
    optional={
        "account": st.just("other"),
        "trunk_id": PLAIN,
        "batch": st.fixed_dictionaries({"max_size": st.integers(1, 100)}),
        "retry": st.fixed_dictionaries({"verify": st.sampled_from(["on_doubt", "always", "never"])}),
    },
)


@given(PROFILE)
def test_a_profile_comes_back_from_its_table_as_it_went(table: dict[str, object]) -> None:
    profiles, mistakes, _ = parse_profiles({"p": table}, resolve)
    assert mistakes == []
    written = fields_of(profiles["p"], Secret.as_table)
    del written["name"]

    assert parse_profiles({"p": written}, resolve)[0] == profiles
    assert written.items() >= {**table, "batch": written["batch"], "retry": written["retry"]}.items()


@example({"directions": [{"type": [], "headers": {"direction": {}, "headers": [{"type": []}]}}, {"type": {}}]})
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["directions", "type", "options", "headers", "register_auth", "batch", "retry", "x"])
                | st.text(),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_any_table_gives_a_profile_or_mistakes(table: object) -> None:
    profiles, mistakes, _ = parse_profiles({"p": table}, resolve)

    assert bool(profiles) != bool(mistakes)
    assert all(mistake.place.startswith("profiles.p") and mistake.message for mistake in mistakes)
