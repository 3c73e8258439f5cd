#include "server.h"
void dummy(void){}
