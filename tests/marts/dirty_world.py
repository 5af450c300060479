"""Everything that was ever wrong with a real export, and what must become of each line, by hand."""

from marts.world import World, user_uuid, video_uuid

DETAIL = "https://www.dmm.co.jp/digital/videoa/-/detail/=/cid={}/"
LONG_ID = "長" * 300
SQL_ID = "x'); drop table raw.reviews; --"

# One review per line: (what it is about, product_url, reviewer_id, stars, reviewed_at, outcome).
REVIEWS = [
    ("plain", DETAIL.format("sone00864"), "ann", "5", "2024-01-02T03:04:05Z", "used"),
    ("fraction", DETAIL.format("abc00001"), "ann", "4.5", None, "used"),
    ("full-width digit", DETAIL.format("abc00002"), "ann", "５", None, "used"),
    ("spaces around the stars", DETAIL.format("abc00003"), "ann", " 1 ", None, "used"),
    ("in the middle", DETAIL.format("abc00004"), "ann", "3", None, "seen_only"),
    ("stars in words", DETAIL.format("abc00005"), "ann", "five", None, "bad_stars"),
    ("no stars", DETAIL.format("abc00005"), "ann", "", None, "bad_stars"),
    ("null stars", DETAIL.format("abc00005"), "ann", None, None, "bad_stars"),
    ("zero stars", DETAIL.format("abc00005"), "ann", "0", None, "bad_stars"),
    ("too many stars", DETAIL.format("abc00005"), "ann", "6", None, "bad_stars"),
    ("negative stars", DETAIL.format("abc00005"), "ann", "-1", None, "bad_stars"),
    ("an exponent", DETAIL.format("abc00005"), "ann", "1e0", None, "bad_stars"),
    ("a sign", DETAIL.format("abc00005"), "ann", "+4", None, "bad_stars"),
    ("not a number", DETAIL.format("abc00005"), "ann", "NaN", None, "bad_stars"),
    ("a number too long to hold", DETAIL.format("abc00005"), "ann", "9" * 200_000, None, "bad_stars"),
    ("blank reviewer", DETAIL.format("sone00864"), " \u3000", "5", None, "no_user"),
    ("null reviewer, bad stars too", DETAIL.format("sone00864"), None, "x", None, "no_user"),
    ("spaces around the reviewer", DETAIL.format("sone00864"), "\u3000bob smith \t", "5", None, "used"),
    ("long unicode reviewer", DETAIL.format("sone00864"), LONG_ID, "5", None, "used"),
    ("SQL for a reviewer", DETAIL.format("sone00864"), SQL_ID, "2", None, "used"),
    ("no URL", None, "ann", "5", None, "no_content_id"),
    ("blank URL", "  ", "ann", "5", None, "no_content_id"),
    ("a URL of no known shop", "https://shop.example/item/5", "ann", "5", None, "no_content_id"),
    ("a bare id is no URL", "sone00864", "ann", "5", None, "no_content_id"),
    ("not in the catalogue", DETAIL.format("zzz00009"), "ann", "5", None, "unknown_video"),
    ("bad stars of an unknown video", DETAIL.format("zzz00009"), "ann", "x", None, "bad_stars"),
    ("two videos by padding", DETAIL.format("two1"), "ann", "5", None, "ambiguous"),
    ("upper case", DETAIL.format("ABC00006").upper(), "ann", "5", None, "used"),
    ("zeros missing", DETAIL.format("abc7"), "ann", "5", None, "used"),
    ("a shop's prefix", DETAIL.format("9abc00008"), "ann", "5", None, "used"),
    ("prefix and zeros", DETAIL.format("9abc9"), "ann", "5", None, "used"),
    ("h_NNN stays", DETAIL.format("h_068abc00008"), "ann", "5", None, "unknown_video"),
    ("by the catalogue's URL", "https://shop.example/goods/one", "ann", "5", None, "used"),
    (
        "an affiliate link",
        "https://al.fanza.co.jp/?lurl=https%3A%2F%2Fwww.dmm.co.jp%2Fdc%2Fdoujin%2F-%2Fdetail%2F%3D%2Fcid%3D"
        "%E3%81%82_10%2F&af_id=me-001&ch=link_tool",
        "ann",
        "5",
        None,
        "used",
    ),
    # two URLs of one video with contradicting stars: one interaction, the newer line decides
    ("older opinion", DETAIL.format("sone00864"), "cid", "5", "2024-01-01", "duplicate"),
    (
        "newer, at another URL",
        "https://video.dmm.co.jp/av/content/?id=sone864",
        "cid",
        "1",
        "2024-01-02",
        "used",
    ),
    # a line with a time comes before a line without, whatever their order in the file
    ("with a time", DETAIL.format("abc00001"), "cid", "1", "1700000000", "used"),
    ("without a time, later line", DETAIL.format("abc00001"), "cid", "5", None, "duplicate"),
    ("unreadable time, later line", DETAIL.format("abc00001"), "cid", "5", "yesterday", "duplicate"),
    ("time in the future", DETAIL.format("abc00001"), "cid", "5", "2999-01-01", "duplicate"),
    # without times the later line decides
    ("first of two", DETAIL.format("abc00002"), "cid", "5", None, "duplicate"),
    ("second of two", DETAIL.format("abc00002"), "cid", "2", None, "used"),
    # a later middle star turns a like into seen only
    ("a like", DETAIL.format("abc00003"), "cid", "5", "2024-01-01 00:00", "duplicate"),
    ("lukewarm later", DETAIL.format("abc00003"), "cid", "3", "2024-01-01T00:00:01+00:00", "seen_only"),
    # the same line twice
    ("a line", DETAIL.format("abc00004"), "cid", "5", "2024-01-01", "duplicate"),
    ("the same line again", DETAIL.format("abc00004"), "cid", "5", "2024-01-01", "used"),
    # decisions (below) of the same people
    ("before a decision", DETAIL.format("abc00001"), "eve", "5", "2024-01-01", "overridden"),
    ("after a decision", DETAIL.format("abc00002"), "eve", "5", "2024-03-01", "overridden"),
    ("older review of a decided pair", DETAIL.format("abc00002"), "eve", "5", "2024-01-01", "duplicate"),
    ("a skip overrides nothing", DETAIL.format("abc00003"), "eve", "5", "2024-01-01", "used"),
    ("an unknown word overrides nothing", DETAIL.format("abc00004"), "eve", "5", "2024-01-01", "used"),
    (
        "of somebody who is also an app user",
        DETAIL.format("abc00001"),
        "linked",
        "5",
        "2024-01-01",
        "overridden",
    ),
]

APP_USER = user_uuid("app")
LINKED_USER = user_uuid("linked")

# (what it is about, the line's columns, outcome)
DECISIONS = [
    (
        "by external_id",
        {"reviewer_id": "eve", "item": "abc00001", "decision": "NOPE", "decided_at": "2024-02-01"},
        "used",
    ),
    (
        "by content id alias",
        {"reviewer_id": "eve", "item": "abc2", "label": "0", "decided_at": "2024-02-01"},
        "used",
    ),
    ("a skip", {"reviewer_id": "eve", "item": "abc00003", "decision": "Skip"}, "skip"),
    ("an unknown word", {"reviewer_id": "eve", "item": "abc00004", "decision": "meh"}, "unknown_decision"),
    ("nothing said", {"reviewer_id": "eve", "item": "abc00004"}, "unknown_decision"),
    ("a label of 2", {"reviewer_id": "eve", "item": "abc00004", "label": "2"}, "unknown_decision"),
    ("a skip of an unknown video", {"reviewer_id": "eve", "item": "zzz1", "decision": "skip"}, "skip"),
    ("unknown video", {"reviewer_id": "eve", "item": "zzz1", "decision": "like"}, "unknown_video"),
    ("no item", {"reviewer_id": "eve", "item": " ", "decision": "like"}, "no_content_id"),
    (
        "a URL of no shop",
        {"reviewer_id": "eve", "item": "https://shop.example/x", "decision": "like"},
        "no_content_id",
    ),
    ("nobody", {"item": "abc00001", "decision": "like"}, "no_user"),
    (
        "a uuid in capitals, an app user",
        {
            "user_id": str(APP_USER).upper(),
            "item": str(video_uuid("abc00005")).upper(),
            "decision": "grid_like",
        },
        "used",
    ),
    ("an id that is no uuid", {"user_id": "u-17", "item": "abc00005", "label": "1.0"}, "used"),
    ("by URL", {"reviewer_id": "fay", "item": DETAIL.format("abc00006"), "decision": "swipe_like"}, "used"),
    # the app decided the same pair later (below)
    (
        "older than the app's own",
        {"user_id": str(APP_USER), "item": "abc00001", "decision": "like", "decided_at": "2024-01-01"},
        "duplicate",
    ),
    # ... and earlier
    (
        "newer than the app's own",
        {"user_id": str(APP_USER), "item": "abc00002", "decision": "like", "decided_at": "1709251200000"},
        "used",
    ),
]

# (user, video, decision, time, outcome)
APP = [
    (APP_USER, "abc00001", "nope", "2024-02-01", "used"),
    (APP_USER, "abc00002", "nope", "2024-02-01", "duplicate"),
    (APP_USER, "abc00003", "swipe_like", "2024-02-01", "used"),
    (APP_USER, "abc00004", "shrug", "2024-02-01", "unknown_decision"),
    (LINKED_USER, "abc00001", "nope", "2023-01-01", "used"),
]


def write(world: World) -> None:
    world.videos(
        {"external_id": "sone00864", "maker": "S1", "price": 300},
        *({"external_id": f"abc0000{n}", "maker": "Alphabet", "price": 100 * n} for n in range(1, 10)),
        {"external_id": "あ_10"},
        {"external_id": "two01"},
        {"external_id": "two001"},
        {
            "external_id": None,
            "id": video_uuid("url only"),
            "title": "only a URL",
            "product_url": "https://al.dmm.co.jp/?lurl=https%3A%2F%2Fshop.example%2Fgoods%2Fone%2F&af_id=x",
        },
    )
    world.tags("abc00001", "drama", "comedy")
    world.execute("insert into raw.user_links values ('linked', %s)", [LINKED_USER])
    columns = ("product_url", "reviewer_id", "stars", "reviewed_at")
    world.reviews(*(dict(zip(columns, line[1:5], strict=True)) for line in REVIEWS))
    world.decisions(*(line[1] for line in DECISIONS))
    world.app_decisions(
        *(
            {"user_id": user, "video_id": video_uuid(video), "decision_type": decision, "created_at": time}
            for user, video, decision, time, _ in APP
        )
    )
    world.execute(
        "insert into raw.rejected_lines values (1, 99, 'a;b', 'wrong number of columns'),"
        " (2, 99, '\\x00', 'NUL byte')"
    )
