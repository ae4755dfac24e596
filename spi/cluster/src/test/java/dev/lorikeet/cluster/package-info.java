@NullMarked
package dev.lorikeet.cluster;

import org.jspecify.annotations.NullMarked;
