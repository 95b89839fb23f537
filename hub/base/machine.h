/* machine.h — what the machine gives this process: memory, and how much of it is taken.
 * Threading: any thread. */
#pragma once
#include <stddef.h>

size_t machine_memory(void);       /* bytes: of the machine, or the least that a control group of this process allows */
size_t machine_resident(void);     /* resident bytes of this process; 0: cannot be known */
