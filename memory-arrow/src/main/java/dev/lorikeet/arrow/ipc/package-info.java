/** Adapters as Arrow IPC files, read as hostile. */
@NullMarked
package dev.lorikeet.arrow.ipc;

import org.jspecify.annotations.NullMarked;
