"""Both published forms of a signature in one header."""

from ironflow.wire.signing import signature

BODY = (
    b'{"run_id":"run_1","function_id":"hello","attempt":1,"event":{"id":"evt_1",'
    b'"name":"order.created","data":{"orderId":"o1"},"timestamp":"2026-01-01T00:00:00Z",'
    b'"version":1},"steps":[]}'
)


def test_the_published_example_is_reproduced() -> None:
    found = signature("sk_test", BODY, now_s=1_767_225_600)

    assert len(BODY) == 180
    assert found.split(",") == [
        "sha256=5f2bcc6f2f77f226d7ac9bf73658c4ce9ed54260f959977a1221887c8c7217d0",
        "t=1767225600",
        "v1=150735144af85ed8ee8fdb812ca7b8e5f219baf7abc303d17bf6531b1436d942",
    ]
