#!/bin/bash
# hardened.sh BINARY: is a released binary built as it should be? Read from the file itself (readelf), not from the Makefile: a flag that
# a distribution's CFLAGS replace, or that a compiler ignores, is not in there. Says each thing that is missing and fails.
set -u
binary=${1:?usage: hardened.sh BINARY}
bad=0
elf() { readelf -W "$@" "$binary" 2>/dev/null; }
has() { grep -qE "$2" <<<"$1" || { echo "hardened: $3"; bad=1; }; }
hasnot() { ! grep -qE "$2" <<<"$1" || { echo "hardened: $3"; bad=1; }; }

header=$(elf -h) segments=$(elf -l) dynamic=$(elf -d) symbols=$(elf --dyn-syms)
built=$(elf --debug-dump=info --dwarf-depth=1 | grep 'DW_AT_producer')

has "$header" 'Type: +DYN' 'no position-independent executable'
has "$dynamic" 'FLAGS_1.* PIE' 'no position-independent executable (PIE is not marked)'
has "$segments" ' GNU_RELRO ' 'the table of library functions can be written (no RELRO)'
has "$dynamic" 'BIND_NOW|FLAGS_1.* NOW' 'library functions are bound late, so RELRO is partial (no BIND_NOW)'
has "$segments" ' GNU_STACK .* RW ' 'the stack is executable, or nothing says it is not'
hasnot "$segments" ' LOAD .* RWE ' 'a segment can be written and executed'
hasnot "$dynamic" '\((RPATH|RUNPATH|TEXTREL)\)' 'RPATH, RUNPATH or TEXTREL'
has "$symbols" ' __stack_chk_fail@' 'no stack protector'
has "$symbols" ' __(snprintf|vsnprintf|memcpy|read)_chk@' 'no FORTIFY'
# gcc notes the -f flags of each file; another compiler's cannot be read.
gnu=$(grep ' GNU C' <<<"$built")
flags='fstack-protector-strong fstack-clash-protection'
grep -q 'X86-64' <<<"$header" && flags+=' fcf-protection'
for flag in $flags; do
    [ -z "$gnu" ] || hasnot "$(grep -v -- "-$flag" <<<"$gnu")" . "compiled without -$flag"
done
exit $bad
