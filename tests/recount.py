"""The 26 indicators counted again from exported tables: plain Python over CSV, no query, no formula of ours.

What stands here is read off the indicators' definitions; it shares nothing with ``hub.plan`` but the
municipality's own lists (which class a kind of alert suggests, which kinds are restricted).
"""

import csv
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

CHILE = ZoneInfo("America/Santiago")
Row = Mapping[str, str]
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def instant(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def must(text: str) -> datetime:
    return datetime.fromisoformat(text)


@dataclass(frozen=True)
class Window:
    """From ``since`` until before ``until``."""

    since: datetime
    until: datetime

    def holds(self, at: datetime | None) -> bool:
        return at is not None and self.since <= at < self.until


@dataclass
class Recount:
    """The tables of one export. ``as_of``: nothing later is known."""

    folder: Path
    as_of: datetime
    code_of_kind: Mapping[str, str]
    restricted: Sequence[str]
    dmcs: Sequence[str]
    sla_s: Mapping[str, int]
    _read: dict[str, list[Row]] = field(default_factory=dict)

    def table(self, name: str) -> list[Row]:
        if name not in self._read:
            csv.field_size_limit(10**8)
            with (self.folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
                self._read[name] = list(csv.DictReader(file))
        return self._read[name]

    # ---------------------------------------------------------------------------------------- alerts

    @cached_property
    def cases(self) -> list[dict[str, Any]]:
        """Every alert that counts, with what was known of it."""
        found = []
        for row in self.table("alerts"):
            if row["is_drill"] == "t" or row["is_reserved"] == "t" or row["kind"] in self.restricted:
                continue
            closed_at = instant(row["closed_at"])
            reason = row["reason"] if closed_at is not None and closed_at <= self.as_of else ""
            code = row["classification"] or self.code_of_kind.get(row["kind"], "")
            family = code.split(".")[0]
            if reason in ("test", "drill", "duplicate") or family in ("TEC", "VIF"):
                continue
            taken_at = instant(row["acknowledged_at"])
            found.append(
                {
                    "id": row["alert_id"], "opened": must(row["opened_at"]), "reason": reason,
                    "taken": taken_at if taken_at and taken_at <= self.as_of else None,
                    "code": code, "family": family, "sector": row["sector"], "priority": row["priority"],
                    "at": (float(row["latitude"]), float(row["longitude"])) if row["latitude"] else None,
                }
            )  # fmt: skip
        return found

    def opened(self, window: Window) -> list[dict[str, Any]]:
        return [case for case in self.cases if window.holds(case["opened"]) and case["opened"] < self.as_of]

    def confirmed(self, window: Window) -> list[dict[str, Any]]:
        return [case for case in self.opened(window) if case["reason"] in ("attended", "referred")]

    @cached_property
    def arrivals(self) -> dict[str, datetime]:
        found: dict[str, datetime] = {}
        for row in self.table("alert_log"):
            at = must(row["at"])
            if row["move"] == "arrive" and at <= self.as_of:
                found[row["alert_id"]] = min(at, found.get(row["alert_id"], at))
        return found

    # --------------------------------------------------------------------------------------- devices

    @cached_property
    def silences(self) -> list[tuple[str, datetime, datetime]]:
        """(device, last sign of life, next sign of life or the end of time)."""
        patience = {d["device_id"]: float(d["silent_after_s"]) for d in self.table("devices")}
        signs: dict[str, datetime] = {}
        for line in self.table("alert_log"):
            is_sign = line["move"] == "cleared" or (
                line["move"] == "close" and line["author"].startswith("hub:")
            )
            if is_sign:
                at = must(line["at"])
                signs[line["alert_id"]] = min(at, signs.get(line["alert_id"], at))
        found = []
        for row in self.table("alerts"):
            if row["kind"] != "device_silent":
                continue
            began = must(row["happened_at"]) - timedelta(seconds=patience[row["device_id"]])
            ended = signs.get(row["alert_id"]) or instant(row["closed_at"])
            if ended is None or ended > self.as_of:
                ended = datetime.max.replace(tzinfo=began.tzinfo)
            if ended > began:
                found.append((row["device_id"], began, ended))
        return found

    def kind_of(self, device: Row) -> str:
        kinds = {"panic_button": "button", "camera": "camera", "siren": "siren", "gateway": "gateway"}
        return kinds.get(device["kind"], "sensor")

    def installed(self, window: Window, *kinds: str) -> list[Row]:
        end = min(window.until, self.as_of)
        return [d for d in self.table("devices") if must(d["created_at"]) < end and self.kind_of(d) in kinds]

    @cached_property
    def first_seen(self) -> dict[str, datetime]:
        return {s["device_id"]: must(s["first_seen_at"]) for s in self.table("device_state")}

    def is_alive(self, device: Row, at: datetime) -> bool:
        seen = self.first_seen.get(device["device_id"])
        moment = at - timedelta(microseconds=1)
        down = any(d == device["device_id"] and a <= moment < b for d, a, b in self.silences)
        return seen is not None and seen < at and not down

    # ------------------------------------------------------------------------------------- inhabitants

    def people(self, window: Window, sectors: Iterable[str] = (), *, with_visitors: bool = False) -> float:
        first = window.since.astimezone(CHILE).date()
        end = window.until.astimezone(CHILE).date()
        wanted, total = set(sectors), 0.0
        for row in self.table("plan_population"):
            if wanted and row["sector"] not in wanted:
                continue
            begins, ends = date.fromisoformat(row["starts_on"]), date.fromisoformat(row["ends_on"])
            if row["season"] == "permanente" and begins <= first <= ends:
                total += int(row["residents"])
            if with_visitors and int(row["visitors"]):
                days = (min(ends + timedelta(days=1), end) - max(begins, first)).days
                total += int(row["visitors"]) * max(0, days) / (end - first).days
        return total

    # ------------------------------------------------------------------------------------- operations

    @cached_property
    def states(self) -> dict[str, str]:
        """How each operation stood, by the last line of its log."""
        found: dict[str, tuple[int, str]] = {}
        for row in self.table("operation_log"):
            if row["to_state"] and must(row["at"]) <= self.as_of:
                line = (int(row["log_id"]), row["to_state"])
                found[row["operation_id"]] = max(line, found.get(row["operation_id"], line))
        return {name: state for name, (_, state) in found.items()}

    def planned(self, window: Window) -> list[Row]:
        return [
            row
            for row in self.table("operations")
            if window.holds(must(row["planned_start"]))
            and row["is_drill"] == "f"
            and must(row["created_at"]) <= self.as_of
        ]

    def executed(self, window: Window) -> list[Row]:
        done = ("executed", "closed")
        return [row for row in self.planned(window) if self.states[row["operation_id"]] in done]

    def points_of(self, operation: Row) -> list[Row]:
        return [p for p in self.table("operation_points") if p["operation_id"] == operation["operation_id"]]

    def near(self, operation: Row, window: Window) -> int:
        """Confirmed cases within 300 m of its points in the window."""
        places = [(float(p["latitude"]), float(p["longitude"])) for p in self.points_of(operation)]
        return sum(
            case["at"] is not None and any(apart(case["at"], place) <= 300 for place in places)
            for case in self.confirmed(window)
        )

    @cached_property
    def inspections(self) -> list[Row]:
        replaced = {row["replaces"] for row in self.table("inspections") if row["replaces"]}
        return [row for row in self.table("inspections") if row["inspection_id"] not in replaced]

    # -------------------------------------------------------------------------------------- indicators

    def indicators(self, window: Window) -> dict[str, float | None]:
        """By id; None is «sin dato». Those of weeks and quarters are counted over the window as well."""
        cases, confirmed = self.opened(window), self.confirmed(window)
        first_priority = [case for case in cases if case["priority"] == "1"]
        closed = [case for case in cases if case["reason"]]
        vain = [case for case in closed if case["reason"] in ("technical", "nothing_found", "mistaken")]
        arrived = [self.arrivals[c["id"]] - c["opened"] for c in cases if c["id"] in self.arrivals]
        in_time = [
            c for c in cases if c["taken"] and seconds(c["taken"] - c["opened"]) <= self.sla_s[c["priority"]]
        ]
        dmcs = [case for case in confirmed if case["code"] in self.dmcs]
        rude = [case for case in confirmed if case["family"] == "INC"]
        executed = self.executed(window)
        found: dict[str, float | None] = {
            "I01": quantile([seconds(c["taken"] - c["opened"]) for c in first_priority if c["taken"]], 0.9),
            "I02": scaled(quantile([seconds(one) for one in arrived], 0.5), MINUTE),
            "I03": percent(len(in_time), len(cases)),
            "I04": percent(len(vain), len(closed)),
            "I09": rate(len(dmcs), self.people(window)),
            "I10": rate(len(rude), self.people(window)),
            "I11": self.in_28_days(window),
            "I12": self.repeated(window),
            "I13": percent(self.with_acta(window), len(self.planned(window))),
            "I14": percent(sum(map(self.is_joint, executed)), len(executed)),
            "I15": percent(sum(map(self.is_founded, executed)), len(executed)),
            "I16": self.infringed(window),
            "I17": self.reappeared(window),
            "I18": self.effect(window),
            "I20": self.reached(window),
            "I25": self.proven(window),
        }
        found |= self.of_equipment(window) | self.of_registers(window)
        return found | {"I19": self.covered(window)}

    def of_equipment(self, window: Window) -> dict[str, float | None]:
        end = min(window.until, self.as_of)
        cameras, down, over = self.installed(window, "camera"), 0.0, 0
        demanded = 0.0
        for camera in cameras:
            start = max(must(camera["created_at"]), window.since)
            seen = max(self.first_seen.get(camera["device_id"], end), start)
            demanded += seconds(end - start)
            spans = [(max(a, seen), min(b, end)) for d, a, b in self.silences if d == camera["device_id"]]
            down += seconds(min(seen, end) - start) + union(spans)
            open_since = [a for d, a, b in self.silences if d == camera["device_id"] and a < end <= b]
            if seen >= end:
                open_since = [must(camera["created_at"])]
            over += any(seconds(end - since) > 72 * HOUR for since in open_since)
        ended = [seconds(b - a) for _, a, b in self.silences if window.holds(b)]
        watched = self.installed(window, "button", "sensor")
        low = {
            row["device_id"]
            for row in self.table("alerts")
            if row["kind"] == "battery_low"
            and must(row["opened_at"]) < end
            and (not row["closed_at"] or must(row["closed_at"]) >= end)
        }
        kept = sum(self.is_alive(d, end) and d["device_id"] not in low for d in watched)
        return {
            "I05": percent(demanded - down, demanded),
            "I06": float(over),
            "I07": scaled(statistics.fmean(ended), HOUR) if ended else None,
            "I08": percent(kept, len(watched)),
        }

    def of_registers(self, window: Window) -> dict[str, float | None]:
        first, end = (at.astimezone(CHILE).date() for at in (window.since, window.until))
        over = min(window.until, self.as_of).astimezone(CHILE).date()

        def told(row: Row, name: str) -> date | None:
            known = instant(row[f"{name}_told_at"])
            return date.fromisoformat(row[name]) if known is not None and known <= self.as_of else None

        def of(table: str, column: str) -> list[Row]:
            return [row for row in self.table(table) if first <= date.fromisoformat(row[column]) < end]

        agreeing = [row for row in of("referrals", "opened_on") if row["has_consent"] == "t"]
        taken = [(told(row, "accepted_on"), row["referred_on"]) for row in agreeing]
        soon = [a for a, b in taken if a is not None and (a - date.fromisoformat(b)).days <= 7]
        held = {
            row["folio"]
            for row in self.table("council_sessions")
            if row["body"] == "council" and row["state"] == "held" and window.holds(must(row["starts_at"]))
        }
        seats = [row for row in self.table("council_attendance") if row["folio"] in held]
        due = [
            row
            for row in of("council_agreements", "due_on")
            if not row["dropped_because"] and date.fromisoformat(row["due_on"]) < over
        ]
        kept = [row for row in due if (on := told(row, "fulfilled_on")) and str(on) <= row["due_on"]]
        asked = of("image_requests", "received_on")
        answered = [
            row
            for row in asked
            if (on := told(row, "answered_on")) and str(on) <= row["due_on"] and row["outcome"] != "lost"
        ]
        paid = {"instalment": 0, "account": 0}
        funds = {
            row["folio"]
            for row in self.table("projects")
            if row["state"] in ("running", "finished") and row["fund"].lower() != "municipal"
        }
        for row in self.table("project_payments"):
            if row["project"] in funds and date.fromisoformat(row["day"]) < over:
                paid[row["sort"]] += int(row["amount_clp"])
        return {
            "I21": percent(len(soon), len(agreeing)),
            "I22": percent(sum(row["is_present"] == "t" for row in seats), len(seats)),
            "I23": percent(len(kept), len(due)),
            "I24": percent(len(answered), len(asked)),
            "I26": percent(paid["account"], paid["instalment"]),
        }

    def in_28_days(self, window: Window) -> float | None:
        """The 28 days up to the window's end against the same days of the year before."""
        end = window.until.astimezone(CHILE).date()
        now = len(self.confirmed(days(end - timedelta(days=28), end)))
        last = end.replace(year=end.year - 1)
        before = len(self.confirmed(days(last - timedelta(days=28), last)))
        return percent(now - before, before)

    def repeated(self, window: Window) -> float | None:
        early = Window(window.since - timedelta(days=28), window.until)
        known = [c for c in self.confirmed(early) if c["at"] is not None and c["code"]]
        here = [case for case in known if window.holds(case["opened"])]
        count = 0
        for case in here:
            count += any(
                other is not case
                and other["code"] == case["code"]
                and timedelta() <= case["opened"] - other["opened"] <= timedelta(days=28)
                and apart(case["at"], other["at"]) <= 200
                for other in known
            )
        return percent(count, len(here))

    def with_acta(self, window: Window) -> int:
        return sum(self.states[row["operation_id"]] == "closed" for row in self.planned(window))

    def is_joint(self, operation: Row) -> bool:
        there = [
            row
            for row in self.table("operation_institutions")
            if row["operation_id"] == operation["operation_id"]
            and (int(row["present"]) > 0 if row["present"] else bool(row["signed_at"]))
        ]
        return len(there) >= 2

    def is_founded(self, operation: Row) -> bool:
        plain = {
            row["alert_id"]
            for row in self.table("alerts")
            if row["is_drill"] == row["is_reserved"] == "f" and row["kind"] not in self.restricted
        }
        return operation["hot_spot"] != "" or any(
            link["operation_id"] == operation["operation_id"]
            and link["relation"] == "origin"
            and not link["removed_at"]
            and must(link["at"]) <= self.as_of
            and link["alert_id"] in plain
            for link in self.table("operation_links")
        )

    def infringed(self, window: Window) -> float | None:
        made = [row for row in self.inspections if window.holds(must(row["inspected_at"]))]
        fined = {row["inspection_id"] for row in self.table("infringements")}
        bad = [r for r in made if r["result"] == "infringement" or r["inspection_id"] in fined]
        return percent(len(bad), len(made))

    def reappeared(self, window: Window) -> float | None:
        cleared = back = 0
        for point in self.table("operation_points"):
            at = instant(point["cleared_at"])
            if at is None or not window.holds(at) or at > self.as_of - timedelta(days=14):
                continue
            cleared += 1
            place = (float(point["latitude"]), float(point["longitude"]))
            back += any(
                row["operation_id"] != point["operation_id"]
                and timedelta() < must(row["inspected_at"]) - at <= timedelta(days=14)
                and row["permit_state"] in ("expired", "none", "other_place")
                and apart((float(row["latitude"]), float(row["longitude"])), place) <= 100
                for row in self.inspections
            )
        return percent(back, cleared)

    def effect(self, window: Window) -> float | None:
        before = after = 0
        for operation in self.executed(window):
            began, ended = must(operation["started_at"]), must(operation["ended_at"])
            if ended <= self.as_of - timedelta(days=14):
                before += self.near(operation, Window(began - timedelta(days=14), began))
                after += self.near(operation, Window(ended, ended + timedelta(days=14)))
        return percent(after - before, before)

    def covered(self, window: Window) -> float | None:
        end = min(window.until, self.as_of)
        rural = {
            row["sector"]
            for row in self.table("plan_population")
            if row["season"] == "permanente" and row["is_rural"] == "t"
        }
        quiet = {
            row["device_id"]
            for row in self.table("alerts")
            if row["kind"] == "device_silent"
            and must(row["opened_at"]) < end
            and (not row["closed_at"] or must(row["closed_at"]) >= end)
        }
        alive = {
            d["sector"]
            for d in self.table("devices")
            if must(d["created_at"]) < end
            and d["device_id"] in self.first_seen
            and self.first_seen[d["device_id"]] < end
            and d["device_id"] not in quiet
        }
        groups: dict[str, set[str]] = {}
        for device in self.table("devices"):
            groups.setdefault(device["watch_group"], set()).add(device["sector"])
        group_of = {row["contact_id"]: row["watch_group"] for row in self.table("contacts")}
        answered: set[str] = set()
        for row in self.table("confirmations"):
            at = must(row["at"])
            if at < end and end - at <= timedelta(days=30):
                answered |= groups.get(group_of.get(row["person"].partition(":")[2], ""), set())
        return percent(len(rural & (alive | answered)), len(rural))

    def reached(self, window: Window) -> float | None:
        known = {
            row["alert_id"]
            for row in self.table("alerts")
            if row["is_drill"] == "f"
            and row["is_reserved"] == "f"
            and row["kind"] not in self.restricted
            and not (row["reason"] in ("test", "drill") and must(row["closed_at"]) <= self.as_of)
        }
        answers: dict[tuple[str, str], list[datetime]] = {}
        for row in self.table("confirmations"):
            if must(row["at"]) <= self.as_of:
                answers.setdefault((row["alert_id"], row["person"]), []).append(must(row["at"]))
        told: dict[tuple[str, str], list[datetime]] = {}
        got: dict[tuple[str, str], list[datetime]] = {}
        for row in self.table("notifications"):
            if (
                row["alert_id"] in known
                and row["contact_id"]
                and row["purpose"] == "alert"
                and window.holds(must(row["created_at"]))
            ):
                key = (row["alert_id"], f"contact:{row['contact_id']}")
                told.setdefault(key, []).append(must(row["created_at"]))
                got.setdefault(key, list(answers.get(key, ())))
                if row["is_delivered"] == "t" and must(row["reported_at"]) <= self.as_of:
                    got[key].append(must(row["reported_at"]))
        in_time = sum(
            bool(got[key]) and min(got[key]) - min(at) <= timedelta(minutes=10) for key, at in told.items()
        )
        return percent(in_time, len(told))

    def proven(self, window: Window) -> float | None:
        end = min(window.until, self.as_of).astimezone(CHILE).date()
        versions = [
            row
            for row in self.table("plan_versions")
            if must(row["loaded_at"]) <= self.as_of and date.fromisoformat(row["starts_on"]) < end
        ]
        if not versions:
            return None
        newest = max(versions, key=lambda row: (row["starts_on"], int(row["update_number"])))
        begun = proven = 0
        for objective in json.loads(newest["document"])["objetivos"]:
            for component in objective["componentes"]:
                for activity in component["actividades"]:
                    starts_on = date.fromisoformat(activity["inicio"])
                    if starts_on < end:
                        begun += 1
                        proven += any(
                            row["activity"] == activity["id"]
                            and starts_on <= date.fromisoformat(row["done_on"]) < end
                            and must(row["recorded_at"]) <= self.as_of
                            for row in self.table("plan_evidence")
                        )
        return percent(proven, begun)


# ------------------------------------------------------------------------------------------ arithmetic


def seconds(span: timedelta) -> float:
    return span.total_seconds()


def days(first: date, end: date) -> Window:
    def midnight(day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=CHILE)

    return Window(midnight(first), midnight(end))


def percent(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole else None


def rate(count: int, people: float) -> float | None:
    return 1000 * count / people if people else None


def scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit


def quantile(values: Sequence[float], share: float) -> float | None:
    """Inclusive linear interpolation."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def union(spans: Iterable[tuple[datetime, datetime]]) -> float:
    """Seconds that are covered at least once."""
    total, reached = 0.0, None
    for begin, end in sorted(span for span in spans if span[1] > span[0]):
        start = begin if reached is None or begin > reached else reached
        if end > start:
            total += seconds(end - start)
            reached = end
    return total


def apart(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Metres, by the angle between two vectors on the mean sphere (not by haversine)."""

    def vector(place: tuple[float, float]) -> tuple[float, float, float]:
        latitude, longitude = map(math.radians, place)
        flat = math.cos(latitude)
        return flat * math.cos(longitude), flat * math.sin(longitude), math.sin(latitude)

    a, b = vector(one), vector(other)
    cross = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    return 6_371_008.8 * math.atan2(math.hypot(*cross), sum(x * y for x, y in zip(a, b, strict=True)))
