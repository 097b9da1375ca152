// SPDX-License-Identifier: GPL-2.0
#include "pmus.h"
#include "pmu-events.h"

int pmus__count(void)
{
	int count = 0;

	for (const struct pmu_table *table = pmu_tables; table->entries; table++)
		for (unsigned int i = 0; i < table->length; i++)
			count += big_c_string[table->entries[i].offset] != '\0';
	return count;
}
