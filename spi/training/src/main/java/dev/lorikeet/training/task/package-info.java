/** What is to be learned, and how: tasks as data. */
@NullMarked
package dev.lorikeet.training.task;

import org.jspecify.annotations.NullMarked;
