// This file never looks up a name: it uses none of the functions of browsers that do.

function FindProxyForURL(url, host) {
  return comes(String(host), portOf(String(url))) ? HERE : "DIRECT";
}

// Hosts and URLs that this file cannot read go to the proxy, which refuses them.
function comes(host, port) {
  if (port === null || /[^\x21-\x7e]/.test(host)) {
    return true;
  }
  var name = host.toLowerCase().replace(/\.$/, "");
  if (/(^|\.)(i2p|i2p\.alt|onion)\.*$/.test(name)) {
    return true;
  }
  if (isDisguised(name)) {
    return true;
  }
  var address = addressOf(name);
  if (address === null && !isName(name)) {
    return true;
  }
  var local = address === null ? isLocalName(name) : LOCAL.some(function (range) {
    return holds(range, address);
  });
  return RULES.some(function (rule) {
    return covers(rule.hosts, name, address) && hasPort(rule.ports, port) && !(local && rule.spares_local);
  });
}

// Whether a name looks as if it ended in .i2p, or is decoded to one that does. The proxy refuses such names. Only the end counts: the
// last label, or the last two if the last one looks like alt.
function isDisguised(name) {
  var labels = name.split(".");
  var altFollows = false;
  for (var i = labels.length - 1; i >= 0; i--) {
    var points = labels[i].slice(0, 4) === "xn--" ? decoded(labels[i].slice(4)) : pointsOf(labels[i]);
    if (points === null) {
      return true;
    }
    var look = points.map(lookOf).join("");
    if (look === "i2p") {
      return true;
    }
    // In a label without a look nothing is visible. The letters i and l look alike.
    if (look !== "") {
      if (look !== "ait" || altFollows) {
        return false;
      }
      altFollows = true;
    }
  }
  return false;
}

function pointsOf(text) {
  return text.split("").map(function (letter) {
    return letter.charCodeAt(0);
  });
}

// What a character looks like. Nothing for punctuation, accents and symbols.
function lookOf(point) {
  if (point < 128) {
    var letter = String.fromCharCode(point);
    return letter === "l" || letter === "1" ? "i" : /[a-z0-9]/.test(letter) ? letter : "";
  }
  for (var i = 0; i < LOOK_ALIKES.length; i++) {
    if (LOOK_ALIKES[i][0] <= point && point <= LOOK_ALIKES[i][1]) {
      return LOOK_ALIKES[i][2];
    }
  }
  var symbol = (point >= 0x2b0 && point <= 0x36f) || (point >= 0x2000 && point <= 0x2bff) || (point >= 0x1f000 && point <= 0x1faff);
  return symbol ? "" : "?";
}

// The code points of the part of a label after xn-- (Punycode, RFC 3492). Null where it is not Punycode or has only ASCII.
function decoded(text) {
  var end = text.lastIndexOf("-");
  var points = end > 0 ? pointsOf(text.slice(0, end)) : [];
  var digits = pointsOf(end > 0 ? text.slice(end + 1) : text);
  var code = 128, place = 0, bias = 72, at = 0;
  while (at < digits.length) {
    var delta = 0, weight = 1;
    for (var k = 36; ; k += 36) {
      var digit = digitOf(digits[at++]);
      if (digit === null) {
        return null;
      }
      delta += digit * weight;
      var threshold = Math.min(Math.max(k - bias, 1), 26);
      if (digit < threshold) {
        break;
      }
      weight *= 36 - threshold;
    }
    var length = points.length + 1;
    bias = nextBias(delta, length, length - 1 === Math.max(end, 0));
    code += Math.floor((place + delta) / length);
    place = (place + delta) % length;
    if (code > 0x10ffff) {
      return null;
    }
    points.splice(place++, 0, code);
  }
  return code === 128 ? null : points;
}

function digitOf(point) {
  if (point >= 97 && point <= 122) {
    return point - 97;
  }
  return point >= 48 && point <= 57 ? point - 22 : null;
}

function nextBias(delta, length, isFirst) {
  delta = Math.floor(delta / (isFirst ? 700 : 2));
  delta += Math.floor(delta / length);
  var bias = 0;
  for (; delta > 455; bias += 36) {
    delta = Math.floor(delta / 35);
  }
  return bias + Math.floor(36 * delta / (delta + 38));
}

function isLocalName(name) {
  return name.indexOf(".") < 0 || LOCAL_DOMAINS.some(function (domain) {
    return name === domain || endsWith(name, "." + domain);
  });
}

function covers(hosts, name, address) {
  if (hosts === "all") {
    return true;
  }
  if (address !== null) {
    return hosts.range !== undefined && holds(hosts.range, address);
  }
  if (hosts.glob !== undefined) {
    return fits(hosts.glob, name);
  }
  if (hosts.below !== undefined) {
    return name === hosts.below || endsWith(name, "." + hosts.below);
  }
  return hosts.name === name;
}

function fits(glob, name) {
  var parts = glob.split("*");
  var first = parts.shift();
  var last = parts.pop();
  if (name.slice(0, first.length) !== first) {
    return false;
  }
  var rest = name.slice(first.length);
  for (var i = 0; i < parts.length; i++) {
    var at = rest.indexOf(parts[i]);
    if (at < 0) {
      return false;
    }
    rest = rest.slice(at + parts[i].length);
  }
  return endsWith(rest, last);
}

function endsWith(text, end) {
  return text.length >= end.length && text.slice(text.length - end.length) === end;
}

function hasPort(ranges, port) {
  return ranges.some(function (range) {
    return range[0] <= port && port <= range[1];
  });
}

function holds(range, address) {
  if (range.bytes.length !== address.length) {
    return false;
  }
  for (var bit = 0; bit < range.length; bit++) {
    var mask = 128 >> bit % 8;
    if ((range.bytes[bit >> 3] & mask) !== (address[bit >> 3] & mask)) {
      return false;
    }
  }
  return true;
}

// Returns null if the URL has no port and its scheme has no known one.
function portOf(url) {
  var parts = /^([a-z][a-z0-9+.-]*):\/\/([^\/?#]*)/.exec(url.toLowerCase());
  if (parts === null) {
    return null;
  }
  var written = /:([0-9]{1,5})$/.exec(parts[2]);
  var usual = { http: 80, https: 443, ws: 80, wss: 443, ftp: 21 };
  var port = written !== null ? Number(written[1]) : usual.hasOwnProperty(parts[1]) ? usual[parts[1]] : 0;
  return port >= 1 && port <= 65535 ? port : null;
}

// Whether this is a host name. A name that ends in a number is not one: some programs take it for an address.
function isName(name) {
  return name.length <= 253 && /^([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$/.test(name) &&
    !/(^|\.)([0-9]+|0x[0-9a-f]*)$/.test(name);
}

// Returns the 4 or 16 bytes of an address, or null if it is not one.
function addressOf(host) {
  var inner = /^\[(.*)\]$/.exec(host);
  if (inner === null && host.indexOf(":") < 0) {
    return bytesOfIpv4(host);
  }
  return bytesOfIpv6(inner === null ? host : inner[1]);
}

function bytesOfIpv4(text) {
  var parts = /^([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})$/.exec(text);
  if (parts === null) {
    return null;
  }
  var bytes = [];
  for (var i = 1; i <= 4; i++) {
    if (Number(parts[i]) > 255 || /^0[0-9]/.test(parts[i])) {
      return null;
    }
    bytes.push(Number(parts[i]));
  }
  return bytes;
}

function bytesOfIpv6(text) {
  var halves = text.split("::");
  var head = groupBytes(halves[0], halves.length === 1);
  var tail = halves.length === 2 ? groupBytes(halves[1], true) : [];
  if (halves.length > 2 || head === null || tail === null) {
    return null;
  }
  var missing = 16 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) {
    return null;
  }
  var bytes = head;
  for (; missing > 0; missing--) {
    bytes.push(0);
  }
  return withoutIpv6(bytes.concat(tail));
}

// Reads groups with colons between them. If `ends`, the last one may be an IPv4 address.
function groupBytes(text, ends) {
  var bytes = [];
  var groups = text === "" ? [] : text.split(":");
  for (var i = 0; i < groups.length; i++) {
    if (/^[0-9a-f]{1,4}$/.test(groups[i])) {
      var number = parseInt(groups[i], 16);
      bytes.push(number >> 8, number & 255);
      continue;
    }
    var last = ends && i === groups.length - 1 ? bytesOfIpv4(groups[i]) : null;
    if (last === null) {
      return null;
    }
    bytes = bytes.concat(last);
  }
  return bytes;
}

// An IPv6 address that contains an IPv4 address counts as that IPv4 address.
function withoutIpv6(bytes) {
  var start = bytes.slice(0, 12).join();
  var end = bytes.slice(12);
  var own = end.join() === "0,0,0,0" || end.join() === "0,0,0,1";
  var within = start === "0,0,0,0,0,0,0,0,0,0,255,255" || start === "0,0,0,0,0,0,0,0,255,255,0,0" ||
    start === "0,100,255,155,0,0,0,0,0,0,0,0" || (start === "0,0,0,0,0,0,0,0,0,0,0,0" && !own);
  return within ? end : bytes;
}
