// Gives names to what the admin's own scripts draw without one, for people who hear a page instead of seeing it.
addEventListener("load", () => setTimeout(() => {
    for (const select of document.querySelectorAll("select.select2-hidden-accessible")) {
        const label = document.querySelector(`label[for="${CSS.escape(select.id)}"]`);
        const shown = select.nextElementSibling?.querySelector(".select2-selection__rendered");
        if (label && shown) shown.setAttribute("aria-label", label.textContent.replace("*", "").trim());
    }
    for (const hint of document.querySelectorAll(".help-tooltip[aria-label]:not([role])")) hint.setAttribute("role", "img");
}));
