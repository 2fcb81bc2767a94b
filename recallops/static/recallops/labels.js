// For people who hear a page or have no mouse: names for what the admin's own scripts draw without one, and a way for the
// keyboard into what scrolls by itself.
(() => {
    const mend = () => {
        for (const select of document.querySelectorAll("select.select2-hidden-accessible")) {
            const label = document.querySelector(`label[for="${CSS.escape(select.id)}"]`);
            const shown = select.nextElementSibling?.querySelector(".select2-selection__rendered");
            if (label && shown) shown.setAttribute("aria-label", label.textContent.replace("*", "").trim());
        }
        for (const hint of document.querySelectorAll(".help-tooltip[aria-label]:not([role])")) hint.setAttribute("role", "img");
        for (const box of document.querySelectorAll(".ro-scroll, .ro-json")) {
            if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
        }
    };
    // The theme writes a chosen file's name into a text field beside it, and breaks where there is none: ours need none.
    const ours = event => event.target.matches(".ro-page input[type=file]") && event.stopPropagation();
    document.addEventListener("change", ours, true);
    addEventListener("load", () => setTimeout(mend));
    document.addEventListener("htmx:afterSettle", mend);
})();
