// Two browsers behind NATs of their own, whose kinds can be changed, and a server with a public address:
//
//   browser n │ wan ── lan │ nat n │ wan ──┐
//   192.168.n.2             203.0.113.1n   ├── bridge ── server 203.0.113.1, relay 203.0.113.2
//
// A browser that is `open` has a public address of its own, 198.51.100.n. One that is `six` has IPv6 alone, 2001:db8:0:n::2, behind a router
// that translates nothing and lets nothing in unasked. A second server is behind a one-to-one NAT:
//
//   mapped 10.9.0.2 │ wan ── lan │ mapper │ 203.0.113.30 ── bridge
import { execFileSync } from 'node:child_process';
import { SERVER, add, cable, demolish, inside, ip, namespaceOf, sweep } from './namespaces.mjs';

/** The relay's address. */
export const RELAY = '203.0.113.2';
/** The server's address to browsers that have IPv6 alone; of a block for documentation (RFC 3849). */
export const SERVER6 = '2001:db8:0:ff::1';
/** The public address of the server behind a one-to-one NAT, and the one that it knows. */
export const MAPPED = Object.freeze({ outside: '203.0.113.30', inside: '10.9.0.2' });
/** The kinds of networks, as RFC 3489 called them; `blocked` lets no UDP out. */
export const KINDS = /** @type {const} */ (['open', 'full', 'cone', 'symmetric', 'blocked']);
/** A network of these kinds, or one that lets through TCP to few ports only: `walled` not to media's, `sealed` to those of TLS; or one of IPv6, `six`, that lets UDP through to the server only, `sixwalled`. @typedef {typeof KINDS[number] | 'walled' | 'sealed' | 'six' | 'sixwalled'} Kind */

export class NatLab {
  /** @param {string} [id] of a lab that is built already */
  constructor(id = String(process.pid)) {
    this.id = id;
    this.server = namespaceOf(id, 'server');
    /** The namespace of the server behind a one-to-one NAT. */
    this.mapped = namespaceOf(id, 'mapped');
  }

  build() {
    sweep();
    const wan = this.#of('wan');
    for (const name of [this.server, wan]) add(name);
    ip('-n', wan, 'link', 'add', 'bridge', 'type', 'bridge');
    ip('-n', wan, 'link', 'set', 'bridge', 'up');
    this.#plug(this.server, 'server', [`${SERVER}/24`, `${RELAY}/24`]);
    // Private addresses lead to a router that forwards nothing, as on the internet. Without a route a relay could not even send to them, and
    // coturn 4.6 ends an allocation when a send fails: calls would lose their media as soon as a browser tries the other one's own address.
    ip('-n', wan, 'address', 'add', '203.0.113.254/24', 'dev', 'bridge');
    ip('-n', this.server, 'route', 'add', 'default', 'via', '203.0.113.254');
    for (const side of [1, 2]) {
      const [browser, nat] = [this.#of(`browser${side}`), this.#of(`nat${side}`)];
      add(browser);
      add(nat);
      cable([browser, 'wan'], [nat, 'lan']);
      ip('-n', browser, 'address', 'add', `192.168.${side}.2/24`, 'dev', 'wan');
      ip('-n', nat, 'address', 'add', `192.168.${side}.1/24`, 'dev', 'lan');
      this.#plug(nat, `nat${side}`, [`203.0.113.1${side}/24`]);
      ip('-n', nat, 'route', 'add', 'default', 'via', '203.0.113.254');
      ip('-n', nat, 'route', 'add', `198.51.100.${side}`, 'dev', 'lan');
      inside(nat, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
      six(nat, 'wan', 'lan');
      inside(nat, 'sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1');
      ip('-n', nat, 'address', 'add', `2001:db8:0:ff::1${side}/64`, 'dev', 'wan', 'nodad');
      ip('-n', nat, 'address', 'add', `2001:db8:0:${side}::1/64`, 'dev', 'lan', 'nodad');
      ip('-n', nat, '-6', 'route', 'add', `2001:db8:0:${3 - side}::/64`, 'via', `2001:db8:0:ff::1${3 - side}`);
    }
    six(this.server, 'wan');
    ip('-n', this.server, 'address', 'add', `${SERVER6}/64`, 'dev', 'wan', 'nodad');
    for (const side of [1, 2]) ip('-n', this.server, '-6', 'route', 'add', `2001:db8:0:${side}::/64`, 'via', `2001:db8:0:ff::1${side}`);
    this.#map();
    for (const side of [1, 2]) {
      for (const other of [this.server, this.#of(`nat${3 - side}`)]) ip('-n', other, 'route', 'add', `198.51.100.${side}`, 'via', `203.0.113.1${side}`);
    }
  }

  /**
   * Makes a browser's network one of this kind.
   * @param {1 | 2} side
   * @param {Kind} kind
   */
  become(side, kind) {
    const [browser, nat] = [this.#of(`browser${side}`), this.#of(`nat${side}`)];
    ip('-n', browser, 'address', 'flush', 'dev', 'wan');
    inside(browser, 'sysctl', '-qw', 'net.ipv6.conf.wan.disable_ipv6=1');
    if (kind === 'six' || kind === 'sixwalled') return this.#becomeSix(side, kind);
    ip('-n', browser, 'address', 'add', `192.168.${side}.2/24`, 'dev', 'wan');
    if (kind === 'open') {
      ip('-n', browser, 'address', 'flush', 'dev', 'wan');
      ip('-n', browser, 'address', 'add', `198.51.100.${side}/32`, 'dev', 'wan');
      ip('-n', browser, 'route', 'replace', `192.168.${side}.1`, 'dev', 'wan');
    }
    ip('-n', browser, 'route', 'replace', 'default', 'via', `192.168.${side}.1`, 'dev', 'wan');
    this.#rule(nat, rules(side, kind));
  }

  /** @param {1 | 2} side @param {'six' | 'sixwalled'} kind */
  #becomeSix(side, kind) {
    const [browser, nat] = [this.#of(`browser${side}`), this.#of(`nat${side}`)];
    six(browser, 'wan');
    ip('-n', browser, 'address', 'add', `2001:db8:0:${side}::2/64`, 'dev', 'wan', 'nodad');
    ip('-n', browser, '-6', 'route', 'replace', 'default', 'via', `2001:db8:0:${side}::1`, 'dev', 'wan');
    const walled = kind === 'sixwalled' ? `meta l4proto udp ip6 saddr != ${SERVER6} ip6 daddr != ${SERVER6} drop;` : '';
    this.#rule(nat, `flush ruleset
table ip6 filter {
  chain forward { type filter hook forward priority 0; ${walled} iifname wan meta l4proto { tcp, udp } ct state new drop; }
}
`);
  }

  /** A NAT's rules from now on; connections of before are forgotten. @param {string} nat @param {string} input */
  #rule(nat, input) {
    execFileSync('ip', ['netns', 'exec', nat, 'nft', '-f', '-'], { input });
    try {
      inside(nat, 'conntrack', '-F');
    } catch {
      // There was nothing to forget.
    }
  }

  /** A machine behind a one-to-one NAT, as most clouds have them: what comes for its public address is for it. */
  #map() {
    const mapper = this.#of('mapper');
    for (const name of [this.mapped, mapper]) add(name);
    cable([this.mapped, 'wan'], [mapper, 'lan']);
    ip('-n', this.mapped, 'address', 'add', `${MAPPED.inside}/24`, 'dev', 'wan');
    ip('-n', mapper, 'address', 'add', '10.9.0.1/24', 'dev', 'lan');
    this.#plug(mapper, 'mapper', [`${MAPPED.outside}/24`]);
    ip('-n', this.mapped, 'route', 'add', 'default', 'via', '10.9.0.1');
    ip('-n', mapper, 'route', 'add', 'default', 'via', '203.0.113.254');
    for (const side of [1, 2]) ip('-n', mapper, 'route', 'add', `198.51.100.${side}`, 'via', `203.0.113.1${side}`);
    inside(mapper, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
    this.#rule(mapper, `table ip nat {
  chain before { type nat hook prerouting priority -100; iifname wan dnat to ${MAPPED.inside}; }
  chain after { type nat hook postrouting priority 100; oifname wan ip saddr ${MAPPED.inside} snat to ${MAPPED.outside}; }
}
`);
  }

  /**
   * Gives a NAT another public address, as a provider does at night: connections of before go nowhere, and nobody is told.
   * @param {1 | 2} side
   * @param {1 | 2} which of its two addresses
   */
  renumber(side, which) {
    const nat = this.#of(`nat${side}`);
    ip('-n', nat, '-4', 'address', 'flush', 'dev', 'wan');
    ip('-n', nat, 'address', 'add', `203.0.113.${which}${side}/24`, 'dev', 'wan');
    ip('-n', nat, 'route', 'replace', 'default', 'via', '203.0.113.254');
    // The server would answer what is of no connection that it knows, and so tell the browser.
    this.#rule(nat, `${rules(side, 'cone')}\nadd rule ip filter forward tcp flags rst drop\n`);
  }

  demolish() {
    demolish(this.id);
  }

  /** @param {string} part */
  #of(part) {
    return namespaceOf(this.id, part);
  }

  /** @param {string} name @param {string} port @param {string[]} addresses */
  #plug(name, port, addresses) {
    const wan = this.#of('wan');
    cable([name, 'wan'], [wan, port]);
    ip('-n', wan, 'link', 'set', port, 'master', 'bridge');
    for (const address of addresses) ip('-n', name, 'address', 'add', address, 'dev', 'wan');
  }
}

/** Lets devices of a namespace have IPv6, without asking routers for addresses. @param {string} name @param {string[]} devices */
function six(name, ...devices) {
  for (const device of devices) {
    inside(name, 'sysctl', '-qw', `net.ipv6.conf.${device}.accept_ra=0`);
    inside(name, 'sysctl', '-qw', `net.ipv6.conf.${device}.disable_ipv6=0`);
  }
}

/**
 * A NAT in nftables. What comes unasked for is dropped before the router itself sees it: it would answer that the port is closed, and take the
 * mapping away from whoever punches the hole.
 * @param {1 | 2} side
 * @param {Exclude<Kind, 'six' | 'sixwalled'>} kind
 */
function rules(side, kind) {
  const translate = { open: '', full: 'masquerade', cone: 'masquerade', symmetric: 'masquerade fully-random', blocked: 'masquerade', walled: 'masquerade', sealed: 'masquerade' }[kind];
  const unasked = 'iifname wan ct state new drop';
  const forward = { open: '', full: 'iifname wan meta l4proto tcp ct state new drop', cone: unasked, symmetric: unasked, blocked: `meta l4proto udp drop; ${unasked}`, walled: `meta l4proto udp drop; tcp dport 40000-40099 drop; ${unasked}`, sealed: `meta l4proto udp drop; tcp dport { 3478, 40000-40099 } drop; ${unasked}` }[kind];
  return `flush ruleset
table ip nat {
  chain before { type nat hook prerouting priority -100; ${kind === 'full' ? `iifname wan meta l4proto udp dnat to 192.168.${side}.2` : ''}; }
  chain after { type nat hook postrouting priority 100; ${translate && `oifname wan ${translate}`}; }
}
table ip filter {
  chain in { type filter hook input priority 0; iifname wan meta l4proto udp ct state new drop; }
  chain forward { type filter hook forward priority 0; ${forward}; }
}
`;
}
