// Proposes the browser's time zone where the node has none yet.
"use strict";
const zone = document.getElementById("zone");
if (zone && !zone.value) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
