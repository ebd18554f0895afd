"""The pages on which scripts are written and assigned."""

import html
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from scripts import services
from scripts.errors import AssignedAlready, CannotStart, MoveRefused
from scripts.models import Assignment, Line
from scripts.selectors import assignment_current
from tests.integration.script_world import make_assignment, play_on

pytestmark = pytest.mark.django_db
BROKEN = "Hello {all"
WHY = "The { at character 7 has no closing }."


@pytest.fixture
def panel(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga"))
    return client


def shown(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def test_a_lines_form_refuses_what_the_activation_would(panel: Client):
    line = make_assignment().script.lines.get(key="l1")
    values = {"script": line.script_id, "key": line.key, "position": 1, "slot": line.slot_id, "delay_seconds": 0}
    page = f"/admin/scripts/line/{line.pk}/change/"
    assert WHY in shown(panel.post(page, values | {"text": BROKEN}))
    assert "At most a week: 604800 seconds." in shown(
        panel.post(page, values | {"text": "Hi", "delay_seconds": 700_000})
    )
    assert "One of its variants is blank." in shown(panel.post(page, values | {"text": "{|Hello}"}))
    assert Line.objects.get(pk=line.pk).text == line.text
    assert panel.post(page, values | {"text": "{|Hello} all"}).status_code == 302


def test_the_confirmation_page_lists_what_is_missing_and_a_refusal_links_to_where_it_is_corrected(panel: Client):
    assignment = make_assignment()
    page = f"/admin/scripts/assignment/{assignment.pk}"
    promise = "The accounts start to send the lines"
    assert promise in shown(panel.get(f"{page}/do/activate/"))
    assignment.cast.filter(slot__name="guest").delete()
    asked = shown(panel.get(f"{page}/do/activate/"))
    assert "slot guest has no account" in asked and f'href="{page}/change/"' in asked
    form = asked.partition('class="panel-confirm"')[2].partition("</form>")[0]
    assert promise not in form and "slot guest" in form and 'type="submit"' not in form
    selected = {"action": "do_activate", "_selected_action": assignment.pk}
    assert "slot guest has no account" in shown(panel.post("/admin/scripts/assignment/", selected))
    for refused in (
        panel.post(f"{page}/do/activate/", {"_confirmed": "1"}),
        panel.post("/admin/scripts/assignment/", selected | {"_confirmed": "1"}),
    ):
        assert refused.headers["Location"] == f"{page}/change/"


def test_so_does_the_line_on_its_scripts_page(panel: Client):
    script = make_assignment().script
    values = {"name": "Talk", "slug": "talk", "lines-INITIAL_FORMS": 0, "lines-TOTAL_FORMS": 1}
    values |= {"slots-INITIAL_FORMS": 0, "slots-TOTAL_FORMS": 0}
    line = {"key": "l9", "position": 9, "slot": script.lines.get(key="l1").slot_id, "text": BROKEN, "delay_seconds": 0}
    values |= {f"lines-0-{name}": value for name, value in line.items()}
    assert WHY in shown(panel.post(f"/admin/scripts/script/{script.pk}/change/", values))
    assert not Line.objects.filter(key="l9").exists()


def played() -> Assignment:
    assignment = services.assignment_activate(assignment_id=make_assignment().pk)
    services.assignment_prepare(assignment_id=str(assignment.pk))
    play_on(assignment)
    assignment.refresh_from_db()
    return assignment


def test_what_was_played_can_be_played_again_and_stays_on_record(panel: Client):
    assignment = played()
    answer = panel.post(f"/admin/scripts/assignment/{assignment.pk}/do/repeat/", follow=True)
    draft = Assignment.objects.get(state="draft")
    assert answer.redirect_chain[-1][0] == f"/admin/scripts/assignment/{draft.pk}/change/"
    assert "has a new draft with the same cast and chats" in shown(answer)
    for rows, facts in (("cast", ("slot", "bot")), ("targets", ("chat",))):
        assert set(getattr(draft, rows).values_list(*facts)) == set(getattr(assignment, rows).values_list(*facts))
    services.assignment_activate(assignment_id=draft.pk)
    services.assignment_prepare(assignment_id=str(draft.pk))
    play_on(draft)
    assert assignment.plays.count() == draft.plays.count() == 2
    assert {found.state for found in Assignment.objects.all()} == {"finished"}
    assert assignment_current(Assignment.objects.all()) == draft


def test_a_second_one_beside_one_that_has_not_ended_is_refused(panel: Client):
    assignment = played()
    values = {"campaign": assignment.campaign_id, "script": assignment.script_id, "seed": 0}
    values |= {"targets-INITIAL_FORMS": 0, "targets-TOTAL_FORMS": 0}
    add = "/admin/scripts/assignment/add/"
    assert panel.post(add, values).status_code == 302
    assert "already has an assignment in this campaign that has not ended" in shown(panel.post(add, values))
    with pytest.raises(AssignedAlready):
        services.assignment_repeat(assignment_id=assignment.pk)
    assert Assignment.objects.count() == 2


def test_only_what_has_ended_is_played_again():
    assignment = make_assignment()
    with pytest.raises(MoveRefused):
        services.assignment_repeat(assignment_id=assignment.pk)


def test_what_failed_before_it_began_cannot_be_activated_beside_its_successor():
    assignment = make_assignment()
    Assignment.objects.update(state="failed")
    Assignment.objects.create(campaign=assignment.campaign, script=assignment.script)
    with pytest.raises(CannotStart, match="another assignment in this campaign that has not ended"):
        services.assignment_activate(assignment_id=assignment.pk)
