// What all live parts of the panel share. They send no requests while the page is hidden, and fewer and fewer requests
// while the server does not answer. Then a notice on the page explains that the page may be out of date, and why. The
// parts that htmx reloads ("every 3s") are watched here; a script with its own requests uses window.panelLive.
window.panelLive = (() => {
  "use strict";
  const FIRST_SECONDS = 4;
  const MOST_SECONDS = 60;
  const LOGIN = "/admin/login/";
  let failures = 0;
  let notBefore = 0;

  const bar = () => {
    let found = document.getElementById("panel-live-notice");
    if (!found) {
      found = document.createElement("div");
      found.id = "panel-live-notice";
      found.setAttribute("role", "status");
      found.hidden = true;
      document.body.append(found);
    }
    return found;
  };

  const show = (text, address) => {
    const notice = bar();
    notice.textContent = text;
    if (address) {
      const link = document.createElement("a");
      link.href = address;
      link.target = "_blank";
      link.textContent = "Log in again";
      notice.append(" ", link);
    }
    notice.hidden = false;
  };

  const later = () => {
    failures += 1;
    const seconds = Math.min(FIRST_SECONDS * 2 ** (failures - 1), MOST_SECONDS);
    notBefore = Date.now() + seconds * 1000;
    return seconds;
  };

  return {
    mayRequest: () => !document.hidden && Date.now() >= notBefore,
    answered: () => {
      failures = 0;
      notBefore = 0;
      if (!bar().hidden) bar().hidden = true;
    },
    failed: (why) => show(`This page may be out of date: ${why}. It will be updated again in ${later()} s.`),
    gone: (what) => show(`${what} was deleted in the meantime.`),
    changed: () => show("The values on this page have changed in the meantime. Copy your unsaved changes, then reload the page."),
    // The user can log in again in another window; this page then continues and keeps what was typed into it.
    loginEnded: () => {
      later();
      show("Your login has ended, and this page may be out of date.", `${LOGIN}?next=/admin/`);
    },
    // The panel's own login page, to which a request without a login is redirected; accounts have login pages, too.
    isLogin: (address) => new URL(address, location.href).pathname === LOGIN,
  };
})();

(() => {
  "use strict";
  const live = window.panelLive;
  // "every 3s", or "load delay:300ms, every 1s".
  const isLive = (event) => /(^|,)\s*every\s/.test(event.detail.elt?.getAttribute?.("hx-trigger") || "");

  const watch = (name, act) => document.addEventListener(name, (event) => isLive(event) && act(event));
  watch("htmx:beforeRequest", (event) => live.mayRequest() || event.preventDefault());
  watch("htmx:beforeSwap", (event) => {
    if (live.isLogin(event.detail.xhr.responseURL)) {
      event.detail.shouldSwap = false;
      live.loginEnded();
    } else if (event.detail.xhr.status < 400) {
      live.answered();
    }
  });
  watch("htmx:responseError", (event) => live.failed(`the server answered ${event.detail.xhr.status}`));
  watch("htmx:sendError", () => live.failed("the server does not answer"));

  // The fields below a live part show the same row. When the row has changed, they are loaded again. If the editable
  // fields have changed as well, the whole page is reloaded, unless it has unsaved changes.
  const RENEWS_AFTER_MS = 10000;
  let version;
  let renewedAt = 0;
  const form = () => document.querySelector("#content-main form[id$=_form]");
  const texts = (of) => [...(of?.querySelectorAll(".readonly") || [])];
  const inputs = (of) => of?.querySelectorAll("input:not([type=hidden]), select, textarea").length || 0;

  const renew = async (wanted) => {
    if (Date.now() - renewedAt < RENEWS_AFTER_MS) return;
    renewedAt = Date.now();
    const answer = await fetch(location.href, { redirect: "manual" }).catch(() => null);
    if (!answer?.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [here, there] = [form(), page.querySelector("#content-main form[id$=_form]")];
    const [old, fresh] = [texts(here), texts(there)];
    if (old.length === fresh.length && inputs(here) === inputs(there)) {
      old.forEach((text, place) => { text.innerHTML = fresh[place].innerHTML; });
      version = wanted;
    } else if (!window.panelUnsaved?.()) {
      location.reload();
    } else {
      version = wanted;
      live.changed();
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    version = document.getElementById("live")?.dataset.version;
  });
  document.addEventListener("htmx:afterSwap", () => {
    const now = document.getElementById("live")?.dataset.version;
    if (now && now !== version) renew(now);
  });
})();
