"""Writes a campaign's scripts: lines, cast and targets. Assignments that were activated are not changed."""

from collections.abc import Mapping
from typing import Any

from bots.models import Bot
from campaigns.models import Campaign, Chat
from coolthing_site.seeding.report import Report
from coolthing_site.seeding.script_checks import line_key
from coolthing_site.seeding.shape import CampaignPart, ScriptPart
from coolthing_site.seeding.writing import drop, put
from scripts.models import Assignment, Casting, Line, Script, Slot, Target
from scripts.selectors import assignment_current
from scripts.services import may_be_activated


def write_scripts(
    report: Report, campaign: Campaign, part: CampaignPart, bots: Mapping[str, Bot], chats: Mapping[str, Chat]
) -> None:
    for script_part in part.scripts:
        script = put(report, Script, {"slug": script_part.slug}, {"name": script_part.name}, name=script_part.slug)
        slots = {name: _slot(report, script, name) for name in script_part.slots}
        _lines(report, script, script_part, slots)
        _assignment(report, campaign, script, script_part, slots, bots, chats)
        _drop_slots(report, script, slots)
    gone = campaign.assignments.exclude(script__slug__in=[script.slug for script in part.scripts])
    for assignment in gone.select_for_update(of=("self",)).select_related("script"):
        _unassign(report, assignment)


def _slot(report: Report, script: Script, name: str) -> Slot:
    return put(report, Slot, {"script": script, "name": name}, {}, name=f"{script.slug}: {name}")


def _lines(report: Report, script: Script, part: ScriptPart, slots: Mapping[str, Slot]) -> None:
    lines: dict[str, Line] = {}
    for index, line in enumerate(part.lines):
        key = line_key(part, index)
        values = {
            "position": index + 1,
            "slot_id": slots[line.slot].pk,
            "text": line.text,
            "reply_to_id": lines[line.reply_to].pk if line.reply_to else None,
            "delay_seconds": line.delay_seconds,
        }
        lines[key] = put(report, Line, {"script": script, "key": key}, values, name=f"{script.slug}: {key}")
    gone = script.lines.exclude(key__in=lines)
    # A line is protected by its replies. Here both may be deleted.
    gone.update(reply_to=None)
    for row in gone:
        report.add("removed", "line", f"{script.slug}: {row.key}")
    gone.delete()


def _assignment(
    report: Report,
    campaign: Campaign,
    script: Script,
    part: ScriptPart,
    slots: Mapping[str, Slot],
    bots: Mapping[str, Bot],
    chats: Mapping[str, Chat],
) -> None:
    name = f"{campaign.slug}: {script.slug}"
    where: dict[str, Any] = {"campaign": campaign, "script": script}
    # Lock it, so that it cannot be activated with half of its cast.
    before = assignment_current(Assignment.objects.select_for_update().filter(**where))
    if before is not None and not may_be_activated(before):
        _report_kept(report, before, part, name)
        return
    if before is not None:
        where["pk"] = before.pk
    assignment = put(report, Assignment, where, {"seed": part.seed} if part.seed else {}, name=name)
    kept = []
    for slot, bot in part.cast.items():
        row = put(
            report, Casting, {"assignment": assignment, "slot": slots[slot]}, {"bot": bots[bot]}, name=f"{name}: {slot}"
        )
        kept.append(row.pk)
    drop(report, assignment.cast.exclude(pk__in=kept), name=f"{name}: {{}}")
    aimed = [
        put(report, Target, {"assignment": assignment, "chat": chats[key]}, {}, name=f"{name}: {key}").pk
        for key in part.targets
    ]
    drop(report, assignment.targets.exclude(pk__in=aimed), name=f"{name}: {{}}")


def _report_kept(report: Report, assignment: Assignment, part: ScriptPart, name: str) -> None:
    """Report the assignment as kept if the file has another cast or other targets."""
    cast = dict(assignment.cast.values_list("slot__name", "bot__key"))
    targets = set(assignment.targets.values_list("chat__key", flat=True))
    if cast == part.cast and targets == set(part.targets):
        report.add("unchanged", "assignment", name)
    else:
        state = assignment.get_state_display().partition(":")[0].lower()
        report.add("kept", "assignment", name, f"it is {state}, so cast and targets are not changed")


def _unassign(report: Report, assignment: Assignment) -> None:
    name = f"{assignment.campaign.slug}: {assignment.script.slug}"
    if may_be_activated(assignment):
        assignment.delete()
        report.add("removed", "assignment", name)
    else:
        report.add("kept", "assignment", name, "it is no longer in the file, but it was activated")


def _drop_slots(report: Report, script: Script, slots: Mapping[str, Slot]) -> None:
    for slot in script.slots.exclude(name__in=slots):
        name = f"{script.slug}: {slot.name}"
        if slot.castings.exists():
            report.add("kept", "slot", name, "it is cast in an assignment")
        else:
            slot.delete()
            report.add("removed", "slot", name)
