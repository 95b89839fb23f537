/* interrupt.h — ctrl-C and SIGTERM as something that a loop can wait for.
 *
 * The first one is noted, and a descriptor becomes readable, so that a command can end well: print its summary, say where it was. The
 * second one ends the process at once, whatever it is doing. SIGPIPE is ignored: who writes looks at EPIPE. Standard descriptors that
 * are closed stay useless.
 * Threading: the main thread; process-wide, set up once. */
#pragma once

void interrupt_setup(void);
int  interrupt_signal(void);    /* 0: none has come; else its number */
int  interrupt_fd(void);        /* readable from the first one on, for good */
