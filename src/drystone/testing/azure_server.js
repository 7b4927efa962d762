// Azurite's blob service, for tests: `node azure_server.js CHECKOUT/.azure-server [OPTION...]`. Ends when its stdin ends,
// so it never outlives its test; testing/azure.py starts it, and tells its accounts in AZURITE_ACCOUNTS.
"use strict";
const path = require("path");

const [node, , folder, ...options] = process.argv;
const blob = path.join(folder, "node_modules", "azurite", "dist", "src", "blob");
// A page of a listing holds 5,000 by default, and as many are asked for: too many to put in a test.
require(path.join(blob, "utils", "constants.js")).DEFAULT_LIST_BLOBS_MAX_RESULTS = 1000;
const program = path.join(blob, "main.js");
process.argv = [node, program, ...options];
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
require(program);
