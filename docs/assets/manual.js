// The keyboard reaches tables, since wide ones are moved sideways; the theme wraps them by itself.
document$.subscribe(() => {
  for (const wrap of document.querySelectorAll(".md-typeset__scrollwrap")) wrap.tabIndex = 0;
});
