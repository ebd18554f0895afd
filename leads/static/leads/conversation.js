// The page of a conversation: requests changes, loads earlier messages, and sends messages without leaving the page.
// Without this script the same links and the same form load whole pages.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";
  const page = document.getElementById("talk");
  if (!page) return;
  const live = window.panelLive;
  const box = page.querySelector(".panel-conversation");
  const list = document.getElementById("talk-messages");
  const earlier = document.getElementById("talk-earlier");
  const MOST_KNOWN = 200;
  const ASKS_FOR_AT_MOST_MS = 20000;
  let asking = false;
  let over = false;
  // Within this window the draft outlives a reload and a new login.
  const draft = `draft of ${document.getElementById("reply")?.action}`;

  const messages = () => [...list.children];
  const atEnd = () => box.scrollHeight - box.clientHeight - box.scrollTop < 5;
  const toEnd = () => { box.scrollTop = box.scrollHeight; };
  const element = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html.trim();
    return template.content.firstElementChild;
  };

  // A person may have been erased: nothing of them stays readable here, nor what was to be sent to them.
  const end = () => {
    over = true;
    sessionStorage.removeItem(draft);
    page.replaceChildren();
    live.gone("This conversation");
  };

  // The answer as JSON; null when there is none, and the page has said why.
  const ask = async (address, options = {}) => {
    let answer;
    try {
      answer = await fetch(address, {
        redirect: "manual",
        headers: { Accept: "application/json" },
        signal: AbortSignal.timeout(ASKS_FOR_AT_MOST_MS),
        ...options,
      });
      if (answer.type === "opaqueredirect") {
        live.loginEnded();
        return null;
      }
      if (answer.ok) {
        const read = await answer.json();
        live.answered();
        return read;
      }
    } catch {
      live.failed("the server does not answer");
      return null;
    }
    if (answer.status === 404) end();
    else live.failed(`the server answered ${answer.status}`);
    return null;
  };

  // A gap would look as if nothing had been written in between: then the page begins anew with the newest messages.
  const beginAnew = (there, more) => {
    list.replaceChildren();
    earlier.hidden = !more;
    there.clear();
  };

  // What was deleted leaves the page. `kept`: the ids that are in the conversation, perhaps in another version.
  const drop = (gone, kept, more) => {
    const deleted = messages().filter((one) => gone.includes(one.dataset.version) && !kept.includes(one.dataset.id));
    for (const one of deleted) one.remove();
    if (deleted.length && more) earlier.hidden = false;
  };

  const take = ({ order, changed, gone, more }) => {
    const there = new Map(messages().map((one) => [one.dataset.id, one]));
    const first = order.find((id) => there.has(id));
    if (there.size && order.length && first === undefined) beginAnew(there, more);
    drop(gone, order, more);
    const heard = [];
    // What stands before all that was shown is older, no news.
    let isNews = first === undefined;
    let place = there.get(first) || null;
    for (const id of order) {
      const before = there.get(id);
      const now = id in changed ? element(changed[id]) : before;
      if (!now) continue;
      isNews ||= Boolean(before);
      if (!before && isNews && "heard" in now.dataset) heard.push(now.querySelector(".panel-message-text:last-child").textContent.trim());
      if (before && now !== before) {
        before.replaceWith(now);
        if (place === before) place = now;
      }
      if (place === now) place = now.nextElementSibling;
      else list.insertBefore(now, place);
    }
    document.getElementById("talk-empty").hidden = list.children.length > 0;
    if (heard.length) document.getElementById("talk-news").textContent = `New from the lead: ${heard.join(" ")}`;
  };

  const replace = (parts) => {
    for (const [id, html] of Object.entries(parts)) {
      const part = document.getElementById(id);
      if (!part) continue;
      const focused = part.contains(document.activeElement);
      part.innerHTML = html;
      if (focused) part.querySelector("button, a")?.focus();
    }
  };

  const refresh = async () => {
    if (over || asking || !live.mayRequest()) return;
    asking = true;
    const known = messages().slice(-MOST_KNOWN).map((one) => one.dataset.version).join(",");
    const asked = new URLSearchParams({ known, parts: page.dataset.parts });
    const news = await ask(`${page.dataset.url}?${asked}`);
    asking = false;
    if (!news) return;
    const stay = !atEnd();
    if (news.order.length || news.gone.length) take(news);
    if (news.parts) {
      replace(news.parts);
      page.dataset.parts = news.version;
    }
    // "Queued" is no longer so: what became of the message stands at it.
    const says = document.getElementById("reply-says");
    if (says?.dataset.of && document.getElementById(`message-${says.dataset.of}`)?.matches("[data-settled]")) {
      says.textContent = "";
      delete says.dataset.of;
    }
    for (const token of page.querySelectorAll("[name=csrfmiddlewaretoken]")) token.value = news.csrf;
    if (!stay) toEnd();
  };

  earlier.querySelector("a").addEventListener("click", async (event) => {
    event.preventDefault();
    const found = await ask(`${page.dataset.url}?skip=${list.children.length}`);
    if (!found) return;
    const fromEnd = box.scrollHeight - box.scrollTop;
    const there = new Set(messages().map((one) => one.dataset.id));
    list.prepend(...found.messages.filter(([id]) => !there.has(id)).map(([, html]) => element(html)));
    earlier.hidden = !found.more;
    box.scrollTop = box.scrollHeight - fromEnd;
  });

  const reply = () => {
    const form = document.getElementById("reply");
    if (!form) return;
    const text = document.getElementById("reply-text");
    const says = document.getElementById("reply-says");
    const count = document.getElementById("reply-count");
    const LONGEST = 4096;
    let sending = false;

    const counted = () => {
      const length = text.value.trim().length;
      count.textContent = `${length} of ${LONGEST} characters`;
      count.classList.toggle("panel-warn", length > LONGEST);
      text.setAttribute("aria-invalid", String(length > LONGEST));
    };
    const typed = () => {
      sessionStorage.setItem(draft, text.value);
      counted();
    };
    const tell = (words, isError) => {
      delete says.dataset.of;
      says.textContent = words;
      says.classList.toggle("panel-warn", isError);
    };

    if (!text.value) text.value = sessionStorage.getItem(draft) || "";
    counted();
    text.addEventListener("input", typed);
    text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      form.requestSubmit(form.querySelector("button[type=submit]") || undefined);
    });

    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (sending) return;
      sending = true;
      text.readOnly = true;
      tell("Sending…", false);
      const answer = await ask(form.action, { method: "POST", body: new FormData(form, event.submitter) });
      sending = false;
      text.readOnly = false;
      text.focus();
      if (!answer) {
        tell("The server did not confirm your message. Your text is still here. Send it again: if the server has it already, it is not sent twice.", true);
        return;
      }
      const sent = form.elements.key.value;
      form.elements.key.value = answer.key;
      if (answer.refused) {
        tell(answer.refused, true);
      } else {
        text.value = "";
        sessionStorage.removeItem(draft);
        counted();
        tell("Your message is queued and is sent as soon as the gate allows it. Its state is shown next to the message.", false);
        says.dataset.of = sent;
        toEnd();
      }
      refresh();
    });
  };

  reply();
  toEnd();
  setInterval(refresh, Number(page.dataset.seconds) * 1000);
  document.addEventListener("visibilitychange", refresh);
});
