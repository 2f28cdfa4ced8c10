# Prints a stack as YAML. Arguments, all numbers: hosts, networks, instances, nics (of each instance); one host takes all
# instances when `single` is 1, with ten more on the second, so that every network has two ends.
def network($n): "n\($n)";
def line($name; $host; $nics): "  \($name): { image: none, host: \($host), networks: [\($nics | map(network(.)) | join(", "))] }";
"stack: bench",
"hosts:",
(range($hosts) | "  h\(. + 1): { address: 198.18.\(. / 200 | floor).\(. % 200 + 11), ssh: root@198.18.\(. / 200 | floor).\(. % 200 + 11) }"),
"networks:",
(range($networks) | "  \(network(.)): { cidr: 10.\(. + 1).0.0/16, gateway: h1 }"),
"instances:",
if $single == 1 then
  # Neighbours in the list share their networks, so that the first tenth of the interfaces needs the first tenth of them.
  ($networks / $nics) as $groups | ($instances / $groups) as $each
  | (range($instances) | (. / $each | floor) as $g | line("a\(.)"; "h1"; [range($g * $nics; ($g + 1) * $nics)])),
    (range($groups) | . as $g | line("b\($g)"; "h2"; [range($g * $nics; ($g + 1) * $nics)]))
else
  range($instances) | line("i\(.)"; "h\(. % $hosts + 1)"; [(. / $hosts | floor) % $networks])
end
