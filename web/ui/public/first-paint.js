// Applies the remembered theme and language before the first paint. A file of its own, because the
// content security policy allows no inline script. The keys are those of preferences.svelte.ts.
(function () {
  var root = document.documentElement;
  try {
    var theme = localStorage.getItem('hidamari.theme');
    if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
    var wish = new URLSearchParams(location.search).get('lang');
    var language = wish || localStorage.getItem('hidamari.language') || navigator.language;
    var known = /^(ja|de)\b/i.exec(language || '');
    root.lang = known ? known[1].toLowerCase() : 'en';
  } catch (error) {
    root.lang = 'en';
  }
})();
