@NullMarked
package dev.lorikeet.training.task;

import org.jspecify.annotations.NullMarked;
