// The page of a conversation: requests changes, loads earlier messages, and sends messages without leaving the page.
// Without this script the same links and the same form load whole pages.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";
  const page = document.getElementById("conversation");
  if (!page) return;
  const live = window.panelLive;
  const box = page.querySelector(".panel-conversation");
  const list = document.getElementById("conversation-messages");
  const earlier = document.getElementById("conversation-earlier");
  const MOST_KNOWN = 200;
  const REQUEST_TIMEOUT_MS = 20000;
  let requesting = false;
  let over = false;
  // In this window the draft is kept during a reload and a new login.
  const draft = `draft of ${document.getElementById("reply")?.action}`;

  const messages = () => [...list.children];
  const atEnd = () => box.scrollHeight - box.clientHeight - box.scrollTop < 5;
  const toEnd = () => { box.scrollTop = box.scrollHeight; };
  const element = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html.trim();
    return template.content.firstElementChild;
  };

  // The person may have been erased: then neither the messages nor the draft may stay readable here.
  const end = () => {
    over = true;
    sessionStorage.removeItem(draft);
    page.replaceChildren();
    live.gone("This conversation");
  };

  // Returns the response's JSON. Returns null if there is none; the page then shows the reason.
  const request = async (address, options = {}) => {
    let answer;
    try {
      answer = await fetch(address, {
        redirect: "manual",
        headers: { Accept: "application/json" },
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
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

  // Called when the page lacks messages between its own and the new ones: the page starts again with the newest ones.
  const beginAnew = (there, more) => {
    list.replaceChildren();
    earlier.hidden = !more;
    there.clear();
  };

  // Removes deleted messages. `kept`: the ids of messages that the conversation still has, perhaps in another version.
  const drop = (gone, kept, more) => {
    const deleted = messages().filter((message) => gone.includes(message.dataset.version) && !kept.includes(message.dataset.id));
    for (const message of deleted) message.remove();
    if (deleted.length && more) earlier.hidden = false;
  };

  const take = ({ order, changed, gone, more }) => {
    const there = new Map(messages().map((message) => [message.dataset.id, message]));
    const first = order.find((id) => there.has(id));
    if (there.size && order.length && first === undefined) beginAnew(there, more);
    drop(gone, order, more);
    const received = [];
    // Messages above all shown messages are older, not new.
    let isNews = first === undefined;
    let place = there.get(first) || null;
    for (const id of order) {
      const before = there.get(id);
      const now = id in changed ? element(changed[id]) : before;
      if (!now) continue;
      isNews ||= Boolean(before);
      if (!before && isNews && "incoming" in now.dataset) received.push(now.querySelector(".panel-message-text:last-child").textContent.trim());
      if (before && now !== before) {
        before.replaceWith(now);
        if (place === before) place = now;
      }
      if (place === now) place = now.nextElementSibling;
      else list.insertBefore(now, place);
    }
    document.getElementById("conversation-empty").hidden = list.children.length > 0;
    if (received.length) document.getElementById("conversation-news").textContent = `New from the lead: ${received.join(" ")}`;
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
    if (over || requesting || !live.mayRequest()) return;
    requesting = true;
    const known = messages().slice(-MOST_KNOWN).map((message) => message.dataset.version).join(",");
    const query = new URLSearchParams({ known, parts: page.dataset.parts });
    const news = await request(`${page.dataset.url}?${query}`);
    requesting = false;
    if (!news) return;
    const stay = !atEnd();
    if (news.order.length || news.gone.length) take(news);
    if (news.parts) {
      replace(news.parts);
      page.dataset.parts = news.version;
    }
    // The message is no longer queued, and its state is shown next to it.
    const notice = document.getElementById("reply-notice");
    if (notice?.dataset.of && document.getElementById(`message-${notice.dataset.of}`)?.matches("[data-settled]")) {
      notice.textContent = "";
      delete notice.dataset.of;
    }
    for (const token of page.querySelectorAll("[name=csrfmiddlewaretoken]")) token.value = news.csrf;
    if (!stay) toEnd();
  };

  earlier.querySelector("a").addEventListener("click", async (event) => {
    event.preventDefault();
    const found = await request(`${page.dataset.url}?skip=${list.children.length}`);
    if (!found) return;
    const fromEnd = box.scrollHeight - box.scrollTop;
    const there = new Set(messages().map((message) => message.dataset.id));
    list.prepend(...found.messages.filter(([id]) => !there.has(id)).map(([, html]) => element(html)));
    earlier.hidden = !found.more;
    box.scrollTop = box.scrollHeight - fromEnd;
  });

  const reply = () => {
    const form = document.getElementById("reply");
    if (!form) return;
    const text = document.getElementById("reply-text");
    const notice = document.getElementById("reply-notice");
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
    const show = (words, isError) => {
      delete notice.dataset.of;
      notice.textContent = words;
      notice.classList.toggle("panel-warn", isError);
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
      show("Sending…", false);
      const answer = await request(form.action, { method: "POST", body: new FormData(form, event.submitter) });
      sending = false;
      text.readOnly = false;
      text.focus();
      if (!answer) {
        show("The server did not confirm your message. Your text is still here. Send it again: if the server has it already, it is not sent twice.", true);
        return;
      }
      const sent = form.elements.key.value;
      form.elements.key.value = answer.key;
      if (answer.refused) {
        show(answer.refused, true);
      } else {
        text.value = "";
        sessionStorage.removeItem(draft);
        counted();
        show("Your message is queued and is sent as soon as the gate allows it. Its state is shown next to the message.", false);
        notice.dataset.of = sent;
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
